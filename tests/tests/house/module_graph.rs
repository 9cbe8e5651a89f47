//! Which file of a crate uses which: read from paths that begin with `crate`, `super`, `self` or a module of the file.
//!
//! It must not know any rule. A name that a file hands on (`pub use`) counts for the file it comes from; tests do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_text::{Kind, Token, is_test_file, tokens_without_tests};
use super::tree::{TreeFile, rust_files};
use super::workspace::workspace;

/// A module's path within its crate; the root's is empty.
type Module = Vec<String>;

/// The files of one crate, and the edges between them.
pub(crate) struct Graph {
    files: Vec<File>,
    edges: Vec<BTreeSet<usize>>,
}

struct File {
    /// From `src/` on.
    name: String,
    module: Module,
    uses: Vec<Use>,
    /// Names that it defines.
    defines: BTreeSet<String>,
    /// Names that are written outside of `use`.
    says: BTreeSet<String>,
}

/// One path that a file writes.
struct Use {
    /// In which module of the file.
    from: Module,
    path: Vec<String>,
    /// By what name it is known there; `*` = by all of its own.
    known_as: String,
    /// `pub use` and its like: handed on.
    handed_on: bool,
}

/// The graph of each crate that has files, by its directory.
pub(crate) fn graphs() -> BTreeMap<String, Graph> {
    let directories = workspace().ours().map(|package| workspace().directory(package));
    let of = |directory: String| {
        let src = format!("{directory}/src/");
        let files = rust_files().filter(|file| file.path.starts_with(&src) && !is_test_file(&file.path));
        let graph = Graph::of(files.map(|file| (&file.path[src.len()..], file)));
        (directory, graph)
    };
    directories.map(of).filter(|(_, graph)| !graph.files.is_empty()).collect()
}

impl Graph {
    fn of<'a>(files: impl Iterator<Item = (&'a str, &'a TreeFile)>) -> Self {
        let files: Vec<File> =
            files.map(|(name, file)| File::read(name, &tokens_without_tests(file))).collect();
        let mut graph = Self { edges: vec![BTreeSet::new(); files.len()], files };
        for at in 0..graph.files.len() {
            let file = &graph.files[at];
            let own = file.uses.iter().filter(|used| !used.handed_on || file.says.contains(&used.known_as));
            let reached: BTreeSet<usize> = own.filter_map(|used| graph.reached(used, 0)).collect();
            graph.edges[at] = reached.into_iter().filter(|to| *to != at).collect();
        }
        graph
    }

    /// The file's name, from `src/` on.
    pub(crate) fn name(&self, at: usize) -> &str {
        &self.files[at].name
    }

    /// The file of a module, if it has one of its own.
    fn file_of(&self, module: &[String]) -> Option<usize> {
        self.files.iter().position(|file| file.module == module)
    }

    /// The file in which stands what a path means.
    fn reached(&self, used: &Use, depth: usize) -> Option<usize> {
        let mut module = used.from.clone();
        let mut path = used.path.as_slice();
        while let Some((first, rest)) = path.split_first() {
            match first.as_str() {
                "crate" => module.clear(),
                "super" => {
                    module.pop();
                }
                "self" => {}
                _ => break,
            }
            path = rest;
        }
        self.found(&module, path, depth)
    }

    fn found(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else { return self.nearest_file(module) };
        let inner: Module = module.iter().chain([first]).cloned().collect();
        if self.file_of(&inner).is_some() {
            return self.found(&inner, rest, depth);
        }
        let at = self.nearest_file(module)?;
        let file = &self.files[at];
        // Handed on at most so often; a circle of names is no Rust.
        if file.defines.contains(first) || depth > 8 {
            return Some(at);
        }
        let named = file.uses.iter().filter(|other| other.from == module && other.known_as == *first);
        if let Some(found) = named.filter_map(|other| self.reached(other, depth + 1)).next() {
            return Some(found);
        }
        let all = file.uses.iter().filter(|other| other.from == module && other.known_as == "*");
        let holds = |at: &usize| self.files[*at].defines.contains(first);
        let behind = all.filter_map(|other| self.reached(other, depth + 1)).find(holds);
        Some(behind.unwrap_or(at))
    }

    /// The file in which a module stands: its own, or that of the module around it.
    fn nearest_file(&self, module: &[String]) -> Option<usize> {
        (0..=module.len()).rev().find_map(|len| self.file_of(&module[..len]))
    }

    /// Groups of files that all reach each other, each sorted.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
        let reach: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|at| self.reach(at)).collect();
        let mut circles: BTreeSet<Vec<usize>> = BTreeSet::new();
        for at in (0..self.files.len()).filter(|at| reach[*at].contains(at)) {
            circles.insert(
                (0..self.files.len())
                    .filter(|to| reach[at].contains(to) && reach[*to].contains(&at))
                    .collect(),
            );
        }
        circles.into_iter().collect()
    }

    fn reach(&self, from: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut left = vec![from];
        while let Some(at) = left.pop() {
            left.extend(self.edges[at].iter().filter(|to| seen.insert(**to)));
        }
        seen
    }

    /// A shortest way from one file of a circle back to it, its end included.
    pub(crate) fn way_round(&self, circle: &[usize]) -> Vec<usize> {
        let ways = circle.iter().filter_map(|start| self.way_back(*start));
        ways.min_by_key(Vec::len).unwrap_or_default()
    }

    fn way_back(&self, start: usize) -> Option<Vec<usize>> {
        let mut before: BTreeMap<usize, usize> = BTreeMap::new();
        let mut left = std::collections::VecDeque::from([start]);
        while let Some(at) = left.pop_front() {
            for to in &self.edges[at] {
                if *to == start {
                    let mut way = vec![start, at];
                    while let Some(earlier) =
                        way.last().filter(|last| **last != start).and_then(|last| before.get(last))
                    {
                        way.push(*earlier);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !before.contains_key(to) {
                    before.insert(*to, at);
                    left.push_back(*to);
                }
            }
        }
        None
    }
}

impl File {
    fn read(name: &str, all: &[Token]) -> Self {
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        let mut module: Module = stem.split('/').map(str::to_owned).collect();
        // A binary beside a library is the root of a crate of its own, and so is `main.rs`.
        if ["lib", "main"].contains(&stem) {
            module.clear();
        }
        let mut file = Self {
            name: name.to_owned(),
            module,
            uses: Vec::new(),
            defines: BTreeSet::new(),
            says: BTreeSet::new(),
        };
        Reader { all, at: 0 }.read(&mut file);
        file
    }
}

const DEFINING: [&str; 8] = ["struct", "enum", "union", "trait", "type", "fn", "const", "static"];

struct Reader<'a> {
    all: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn read(mut self, file: &mut File) {
        let mut modules: BTreeSet<String> = BTreeSet::new();
        for window in self.all.windows(3) {
            if window[0].is("mod")
                && window[2].sign(';')
                && let Some(name) = ident(&window[1])
            {
                modules.insert(name.to_owned());
            }
        }
        // The module that each open brace belongs to: a path of its own for `mod x {`, else that of what is around it.
        let mut open: Vec<Module> = vec![file.module.clone()];
        while self.at < self.all.len() {
            let inside = open.last().cloned().unwrap_or_default();
            let token = &self.all[self.at];
            if token.is("use") {
                self.used(&inside, &modules, file);
                continue;
            }
            let before_is_path = self.at >= 2 && self.is_path_sign(self.at - 2);
            match &token.kind {
                Kind::Open('{') => open.push(self.opens_module(&inside).unwrap_or(inside)),
                Kind::Close('}') if open.len() > 1 => {
                    open.pop();
                }
                Kind::Ident(name) if !before_is_path && self.is_path_sign(self.at + 1) => {
                    if begins(name, &modules) {
                        let path = self.plain_path();
                        file.uses.push(Use { from: inside, path, known_as: String::new(), handed_on: false });
                        continue;
                    }
                    file.says.insert(name.clone());
                }
                Kind::Ident(name) => {
                    file.says.insert(name.clone());
                    let defined = self.all.get(self.at + 1).and_then(ident);
                    if DEFINING.contains(&name.as_str())
                        && let Some(defined) = defined
                    {
                        file.defines.insert(defined.to_owned());
                    }
                    if name == "macro_rules"
                        && let Some(defined) = self.all.get(self.at + 2).and_then(ident)
                    {
                        file.defines.insert(defined.to_owned());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The module that begins with the brace here.
    fn opens_module(&self, inside: &[String]) -> Option<Module> {
        let name = ident(self.all.get(self.at.checked_sub(1)?)?)?;
        self.all
            .get(self.at.checked_sub(2)?)?
            .is("mod")
            .then(|| inside.iter().cloned().chain([name.to_owned()]).collect())
    }

    fn is_path_sign(&self, at: usize) -> bool {
        [at, at + 1].iter().all(|at| self.all.get(*at).is_some_and(|token| token.sign(':')))
    }

    /// `a::b::c`, as far as it goes without brackets.
    fn plain_path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while let Some(name) = self.all.get(self.at).and_then(ident) {
            path.push(name.to_owned());
            self.at += 1;
            if !self.is_path_sign(self.at) {
                break;
            }
            self.at += 2;
        }
        path
    }

    /// A whole `use`, up to its `;`.
    fn used(&mut self, inside: &[String], modules: &BTreeSet<String>, file: &mut File) {
        let handed_on = self.at > 0 && (self.all[self.at - 1].is("pub") || self.all[self.at - 1].sign(')'));
        self.at += 1;
        let mut leaves = Vec::new();
        self.tree(&mut Vec::new(), &mut leaves);
        for (path, known_as) in leaves {
            if path.first().is_some_and(|first| begins(first, modules)) {
                file.uses.push(Use { from: inside.to_vec(), path, known_as, handed_on });
            }
        }
    }

    /// One branch of a `use`; `before` is the path so far.
    fn tree(&mut self, before: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
        let depth = before.len();
        while let Some(token) = self.all.get(self.at) {
            match &token.kind {
                Kind::Ident(name) if name == "as" => {
                    self.at += 1;
                    let known_as = self.all.get(self.at).and_then(ident).unwrap_or("_").to_owned();
                    leaves.push((before.clone(), known_as));
                    before.truncate(depth);
                    self.at += 1;
                    self.skip_to_end_of_branch();
                    return;
                }
                Kind::Ident(name) => {
                    before.push(name.clone());
                    self.at += 1;
                }
                Kind::Punct(':') => self.at += 1,
                Kind::Punct('*') => {
                    leaves.push((before.clone(), "*".to_owned()));
                    before.truncate(depth);
                    self.at += 1;
                    return;
                }
                Kind::Open('{') => {
                    self.at += 1;
                    while self.all.get(self.at).is_some_and(|token| !token.sign('}')) {
                        self.tree(before, leaves);
                        if self.all.get(self.at).is_some_and(|token| token.sign(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    before.truncate(depth);
                    return;
                }
                _ => break,
            }
        }
        if before.len() > depth {
            let mut path = before.clone();
            // `a::{self}` is `a`.
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let known_as = path.last().cloned().unwrap_or_default();
            leaves.push((path, known_as));
            before.truncate(depth);
        }
        self.skip_to_end_of_branch();
    }

    fn skip_to_end_of_branch(&mut self) {
        while self
            .all
            .get(self.at)
            .is_some_and(|token| !matches!(token.kind, Kind::Punct(',' | ';') | Kind::Close('}')))
        {
            self.at += 1;
        }
    }
}

fn begins(name: &str, modules: &BTreeSet<String>) -> bool {
    ["crate", "super", "self"].contains(&name) || modules.contains(name)
}

fn ident(token: &Token) -> Option<&str> {
    match &token.kind {
        Kind::Ident(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Edges as `from -> to`, of files given by name and text.
    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(&str, TreeFile)> = files
            .iter()
            .map(|(name, text)| (*name, TreeFile { path: format!("x/src/{name}"), text: (*text).to_owned() }))
            .collect();
        let graph = Graph::of(files.iter().map(|(name, file)| (*name, file)));
        let all = graph.edges.iter().enumerate();
        all.flat_map(|(at, to)| to.iter().map(move |to| (at, *to)))
            .map(|(at, to)| format!("{} -> {}", graph.name(at), graph.name(to)))
            .collect()
    }

    #[test]
    fn a_path_leads_to_the_file_in_which_its_name_stands() {
        let found = edges(&[
            ("lib.rs", "mod a; mod b; pub use b::Known; pub struct Root;"),
            ("a.rs", "use crate::{b::{self, inner::Deep}, Known}; fn f() { super::Root; other::x(); }"),
            ("b.rs", "mod inner; pub struct Known; fn g() { inner::h() }"),
            ("b/inner.rs", "pub struct Deep; fn h() { crate::a::f() }"),
        ]);
        let expected = [
            "a.rs -> lib.rs",
            "a.rs -> b.rs",
            "a.rs -> b/inner.rs",
            "b.rs -> b/inner.rs",
            "b/inner.rs -> a.rs",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn handing_on_a_name_is_no_use_of_it_unless_it_is_said() {
        let (child, root) = ("pub struct X; use super::Y;", "mod c; pub(crate) use c::X; pub struct Y;");
        assert_eq!(edges(&[("lib.rs", root), ("c.rs", child)]), ["c.rs -> lib.rs"]);
        let root = format!("{root} fn f(x: X) {{}}");
        assert_eq!(edges(&[("lib.rs", &root), ("c.rs", child)]), ["lib.rs -> c.rs", "c.rs -> lib.rs"]);
    }

    #[test]
    fn names_behind_a_star_are_found_and_tests_do_not_count() {
        let files = [
            ("lib.rs", "mod codes; mod user; pub use codes::*;"),
            ("codes.rs", "pub const A: u8 = 1; #[cfg(test)] mod tests { use crate::user::B; }"),
            ("user.rs", "use crate::A; pub struct B; mod inline { use super::super::codes; use super::B; }"),
        ];
        assert_eq!(edges(&files), ["user.rs -> codes.rs"]);
    }

    #[test]
    fn a_circle_is_found_whole_with_a_shortest_way_round() {
        let text = |to: &str| format!("use crate::{to}::f; pub fn f() {{}}");
        let files: Vec<(String, String)> = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
            .map(|(at, to)| (format!("{at}.rs"), text(to)))
            .into();
        let files: Vec<(&str, TreeFile)> = files
            .iter()
            .map(|(name, text)| {
                (name.as_str(), TreeFile { path: format!("x/src/{name}"), text: text.clone() })
            })
            .collect();
        let graph = Graph::of(files.iter().map(|(name, file)| (*name, file)));
        assert_eq!(graph.circles(), [vec![0, 1, 2]]);
        assert_eq!(graph.way_round(&[0, 1, 2]), [0, 1, 2, 0]);
    }
}
