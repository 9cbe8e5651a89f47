//! Fills a template's placeholders in one pass: what is filled in is never looked at again.

/// The prompt unless the build has another one.
pub(crate) const DEFAULT: &str = "\
You are an assistant that works on a person's computer through tools.
Look before you act: read the files and run the commands that settle a question instead of guessing.
Change only what the task needs, keep to the conventions of the place, and check the result before you call it done.
Say plainly what you did, what you found and what is still open; if something failed, say so.

Working directory: {cwd}
Date at the start of this conversation: {date}
{agents}";

/// `{cwd}`, `{date}` and `{agents}` are replaced; other braces stay.
pub(crate) fn fill(template: &str, cwd: &str, date: &str, agents: &str) -> String {
    let placeholders = [("{cwd}", cwd), ("{date}", date), ("{agents}", agents)];
    let mut filled = String::with_capacity(template.len() + cwd.len() + date.len() + agents.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (taken, value) = placeholders
            .iter()
            .find(|(name, _)| rest.starts_with(name))
            .map_or((1, "{"), |(name, value)| (name.len(), *value));
        filled.push_str(value);
        rest = &rest[taken..];
    }
    filled.push_str(rest);
    filled
}
