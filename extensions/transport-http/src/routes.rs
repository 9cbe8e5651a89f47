//! Which path and method leads where. It must not know what stands there.

use hyper::Method;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 1_024;

/// One route.
pub(crate) struct Leaf<T> {
    /// As whoever made it wrote it.
    pub(crate) template: Arc<str>,
    names: Vec<String>,
    /// Where it leads.
    pub(crate) target: T,
}

/// What a path leads to.
pub(crate) enum Found<'a, T> {
    /// A route, and the values of its places.
    Leaf(&'a Leaf<T>, BTreeMap<String, String>),
    /// The path is known with these methods.
    OtherMethods(String),
    /// Its percent signs do not decode.
    BadPath(String),
    Nothing,
}

/// Why a route was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The method or the path does not have its form.
    Malformed(String),
    /// Another route has the place.
    Taken,
}

/// All routes, each to a `T`.
pub(crate) struct Routes<T> {
    paths: matchit::Router<usize>,
    /// Methods of each path, by its position.
    methods: Vec<BTreeMap<String, Leaf<T>>>,
    /// Position by path without the names of its places: `/a/{x}` and `/a/{y}` are one.
    positions: HashMap<String, usize>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { paths: matchit::Router::new(), methods: Vec::new(), positions: HashMap::new() }
    }
}

impl<T> Routes<T> {
    /// Adds a route, unless another has its place.
    pub(crate) fn add(&mut self, method: &str, template: &str, target: T) -> Result<(), Refused> {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Refused::Malformed(format!("`{method}` is no method; give `GET`, `POST`, …")));
        }
        let (nameless, names) = parse(template).map_err(Refused::Malformed)?;
        let position = match self.positions.get(&nameless) {
            Some(position) => *position,
            None => {
                let position = self.methods.len();
                self.paths.insert(nameless.as_str(), position).map_err(|_| Refused::Taken)?;
                self.methods.push(BTreeMap::new());
                self.positions.insert(nameless, position);
                position
            }
        };
        let methods = &mut self.methods[position];
        // A `GET` answers `HEAD` too, so the two cannot be two.
        let twin = match method {
            "GET" => "HEAD",
            "HEAD" => "GET",
            other => other,
        };
        if methods.contains_key(method) || methods.contains_key(twin) {
            return Err(Refused::Taken);
        }
        methods.insert(method.to_owned(), Leaf { template: Arc::from(template), names, target });
        Ok(())
    }

    /// Where a request goes.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let Ok(found) = self.paths.at(path) else { return Found::Nothing };
        let methods = &self.methods[*found.value];
        let leaf = methods.get(method.as_str());
        let leaf = leaf.or_else(|| if method == Method::HEAD { methods.get("GET") } else { None });
        let Some(leaf) = leaf else {
            let mut allow: Vec<_> = methods.keys().map(String::as_str).collect();
            if methods.contains_key("GET") {
                allow.insert(allow.iter().position(|method| *method == "GET").map_or(0, |at| at + 1), "HEAD");
            }
            return Found::OtherMethods(allow.join(", "));
        };
        let mut values = BTreeMap::new();
        for (name, (_, value)) in leaf.names.iter().zip(found.params.iter()) {
            match percent_decode_str(value).decode_utf8() {
                Ok(value) => values.insert(name.clone(), value.into_owned()),
                Err(_) => {
                    return Found::BadPath(format!("the path's `{name}` is no UTF-8 when it is decoded"));
                }
            };
        }
        Found::Leaf(leaf, values)
    }

    /// Every route: its template, its method, and where it leads.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, &T)> {
        let leaves = self.methods.iter().flatten();
        leaves.map(|(method, leaf)| (&*leaf.template, method.as_str(), &leaf.target))
    }
}

/// The names of a template's places.
pub(crate) fn names_of(template: &str) -> Vec<String> {
    parse(template).map(|(_, names)| names).unwrap_or_default()
}

/// The template with its places numbered, and their names.
fn parse(template: &str) -> Result<(String, Vec<String>), String> {
    let malformed = |why: &str| format!("`{template}` is no path of a route: {why}");
    if !template.starts_with('/') || template.len() > TEMPLATE_BYTES_MAX {
        return Err(malformed("it begins with `/` and is short"));
    }
    let mut nameless = String::new();
    let mut names: Vec<String> = Vec::new();
    let mut segments = template[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        nameless.push('/');
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            let plain = |b: u8| b.is_ascii_graphic() && !b"{}?#%\\\"<>^`|".contains(&b);
            if !segment.bytes().all(plain) || segment == "." || segment == ".." {
                return Err(malformed("a segment is plain text, or a whole `{place}`"));
            }
            nameless.push_str(segment);
            continue;
        };
        let (star, name) = match name.strip_prefix('*') {
            Some(name) => ("*", name),
            None => ("", name),
        };
        if !star.is_empty() && segments.peek().is_some() {
            return Err(malformed("`{*rest}` is the last segment"));
        }
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || !name.bytes().all(is_name) || names.iter().any(|known| known == name) {
            return Err(malformed("each place has a name of its own, of letters and digits"));
        }
        nameless.push_str(&format!("{{{star}p{}}}", names.len()));
        names.push(name.to_owned());
    }
    Ok((nameless, names))
}
