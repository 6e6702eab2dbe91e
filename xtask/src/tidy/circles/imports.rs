//! Which file of a crate imports which, read from the text: `use` declarations and paths that begin with `crate`,
//! `super` or `self`. A name that a module only hands on leads to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

/// How often a name may be handed on before it is given up.
const LONGEST_CHAIN: usize = 8;

type Path = Vec<String>;

/// One file of a crate.
pub(super) struct Source {
    /// Relative to the checkout.
    file: String,
    module: Path,
    /// The names that `use` declarations bring in, and the path that each stands for; `*` for all of a module.
    uses: Vec<(String, Path)>,
    /// Other paths in the text.
    paths: Vec<Path>,
    /// Names that the file defines.
    defined: BTreeSet<String>,
}

impl Source {
    /// `below_src` is the file's path below the crate's `src`.
    pub(super) fn new(file: &str, below_src: &str, text: &str) -> Self {
        let code = without_tests(&code_only(text));
        let mut uses = Vec::new();
        let mut rest = String::new();
        let mut left = code.as_str();
        while let Some((before, declaration, after)) = next_use(left) {
            rest.push_str(before);
            for path in flatten(declaration) {
                uses.push(path);
            }
            left = after;
        }
        rest.push_str(left);
        Self {
            file: file.to_owned(),
            module: module_of(below_src),
            uses,
            paths: paths(&rest),
            defined: defined(&rest),
        }
    }
}

/// The files of a crate, by module.
pub(super) struct Crate {
    modules: BTreeMap<Path, Source>,
    by_file: BTreeMap<String, Path>,
}

impl Crate {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        let by_file = sources
            .iter()
            .map(|source| (source.file.clone(), source.module.clone()))
            .collect();
        let modules = sources
            .into_iter()
            .map(|source| (source.module.clone(), source))
            .collect();
        Self { modules, by_file }
    }

    /// Every import of one file by another.
    pub(super) fn arrows(&self) -> BTreeSet<(String, String)> {
        let mut arrows = BTreeSet::new();
        for source in self.modules.values() {
            let used = source.uses.iter().map(|(_, path)| path);
            for path in used.chain(&source.paths) {
                if let Some(target) = self.target(&source.module, path, 0)
                    && target.file != source.file
                {
                    arrows.insert((source.file.clone(), target.file.clone()));
                }
            }
        }
        arrows
    }

    /// Whether one file's module is the other's, or lies in it.
    pub(super) fn is_family(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.by_file.get(one), self.by_file.get(other)) else {
            return false;
        };
        one.starts_with(other) || other.starts_with(one)
    }

    pub(super) fn is_root(&self, file: &str) -> bool {
        self.by_file.get(file).is_some_and(Vec::is_empty)
    }

    /// The file that a path leads to, seen from a module.
    fn target(&self, from: &Path, path: &[String], handed_on: usize) -> Option<&Source> {
        let mut module = from.clone();
        let mut names = path.iter().peekable();
        let mut is_ours = false;
        while let Some(name) = names.next_if(|name| ["crate", "super", "self"].contains(&name.as_str())) {
            is_ours = true;
            match name.as_str() {
                "crate" => module.clear(),
                "super" => {
                    module.pop();
                }
                _ => {}
            }
        }
        // `use child::Name` in a parent names its own module without `self`.
        is_ours |= names.peek().is_some_and(|name| self.has_child(&module, name));
        if !is_ours {
            return self.brought_in(from, path, handed_on);
        }
        while let Some(name) = names.next_if(|name| self.has_child(&module, name)) {
            module.push(name.clone());
        }
        let source = self.modules.get(&module)?;
        let Some(name) = names.next() else {
            return Some(source);
        };
        if source.defined.contains(name) || handed_on >= LONGEST_CHAIN {
            return Some(source);
        }
        let named = source.uses.iter().find(|(known, _)| known == name);
        if let Some((_, origin)) = named {
            let mut origin = origin.clone();
            origin.extend(names.cloned());
            return self.target(&module, &origin, handed_on + 1).or(Some(source));
        }
        let all_of = source.uses.iter().filter(|(known, _)| known == "*");
        for (_, origin) in all_of {
            let found = self.target(&module, origin, handed_on + 1);
            if let Some(found) = found.filter(|found| found.defined.contains(name)) {
                return Some(found);
            }
        }
        Some(source)
    }

    /// The file that a path leads to which begins with a name that a `use` brought in.
    fn brought_in(&self, module: &Path, path: &[String], handed_on: usize) -> Option<&Source> {
        let (first, rest) = path.split_first()?;
        let source = self.modules.get(module).filter(|_| handed_on < LONGEST_CHAIN)?;
        let (_, origin) = source.uses.iter().find(|(name, _)| name == first)?;
        let whole: Path = origin.iter().chain(rest).cloned().collect();
        // A name that stands for itself is another crate's.
        (whole != path).then(|| self.target(module, &whole, handed_on + 1))?
    }

    fn has_child(&self, module: &Path, name: &str) -> bool {
        let mut child = module.clone();
        child.push(name.to_owned());
        self.modules.contains_key(&child)
    }
}

/// The module that a file is: `query/mod.rs` and `query.rs` are `query`, `lib.rs` and `main.rs` the crate itself.
fn module_of(below_src: &str) -> Path {
    let stem = below_src.trim_end_matches(".rs");
    let mut names: Path = stem.split('/').map(str::to_owned).collect();
    if names
        .last()
        .is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str()))
    {
        names.pop();
    }
    names
}

/// The text without comments and literals: each becomes one space.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = skipped(rest);
        if skipped > 0 {
            code.push(' ');
            rest = rest.get(skipped..).unwrap_or_default();
        } else {
            code.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    code
}

/// How many bytes of a comment or literal the text begins with; 0 when it begins with code.
fn skipped(text: &str) -> usize {
    let until = |from: usize, end: &str| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end).map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    if let Some(raw) = text.strip_prefix('r') {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        if raw.get(marks..).is_some_and(|rest| rest.starts_with('"')) {
            return until(marks + 2, &format!("\"{}", "#".repeat(marks)));
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    // A lifetime is no literal: it has no second quote after one character.
    let is_character = text.starts_with("'\\") || text.chars().nth(2) == Some('\'');
    if text.starts_with('\'') && is_character {
        return quoted(text, '\'');
    }
    0
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Without the modules that are compiled for tests only.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut left = code;
    while let Some((before, after)) = left.split_once("#[cfg(test)]\n") {
        kept.push_str(before);
        // What is formatted closes at the start of a line.
        left = match after.split_once("\n}\n") {
            Some((item, rest)) if item.trim_start().starts_with("mod ") && !declares(item) => rest,
            _ => after,
        };
    }
    kept.push_str(left);
    kept
}

/// Whether an item ends on its first line, as `mod tests;` does.
fn declares(item: &str) -> bool {
    item.trim_start()
        .lines()
        .next()
        .is_some_and(|line| line.ends_with(';'))
}

/// What stands before the next `use` declaration, its tree, and what follows.
fn next_use(code: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + code.get(from..)?.find("use ")?;
        let before = code.get(..at)?;
        let is_word = before
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || c == '}' || c == ';');
        if is_word {
            let (tree, after) = code.get(at + 4..)?.split_once(';')?;
            return Some((before, tree, after));
        }
        from = at + 4;
    }
}

/// The names that a tree of `use` brings in, each with its path.
fn flatten(tree: &str) -> Vec<(String, Path)> {
    let mut found = Vec::new();
    branch(tree.trim(), &[], &mut found);
    found
}

fn branch(tree: &str, prefix: &[String], found: &mut Vec<(String, Path)>) {
    if let Some((start, rest)) = tree.split_once('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(
            start
                .split("::")
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
        for part in parts(inside) {
            branch(part, &prefix, found);
        }
        return;
    }
    let (path, name) = match tree.split_once(" as ") {
        Some((path, name)) => (path, Some(name.trim())),
        None => (tree, None),
    };
    let mut whole = prefix.to_vec();
    whole.extend(
        path.split("::")
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
    );
    let is_itself =
        whole.len() > prefix.len() && whole.last().is_some_and(|last| last == "self" || last == "*");
    let last = whole.last().cloned().unwrap_or_default();
    if is_itself && whole.len() > 1 {
        whole.pop();
    }
    let own = if last == "self" {
        whole.last().cloned().unwrap_or_default()
    } else {
        last
    };
    found.push((name.map_or(own, str::to_owned), whole));
}

/// Splits at the commas that no braces enclose.
fn parts(inside: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(inside.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(inside.get(start..).unwrap_or_default().trim());
    found.retain(|part| !part.is_empty());
    found
}

/// The paths in code. Most lead out of the crate, or to a name that a `use` brought in: those lead nowhere here.
fn paths(code: &str) -> Vec<Path> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(|c| !is_part(c))
        .filter(|word| word.split_once("::").is_some_and(|(first, _)| !first.is_empty()))
        .map(|word| {
            word.split("::")
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

/// The names of the items that a file defines.
fn defined(code: &str) -> BTreeSet<String> {
    const KINDS: [&str; 9] = [
        "fn",
        "struct",
        "enum",
        "trait",
        "type",
        "const",
        "static",
        "union",
        "macro_rules!",
    ];
    let mut words = code
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'))
        .filter(|word| !word.is_empty())
        .peekable();
    let mut found = BTreeSet::new();
    while let Some(word) = words.next() {
        if KINDS.contains(&word)
            && let Some(name) = words.peek()
        {
            found.insert((*name).to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests;
