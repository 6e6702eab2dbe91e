//! What consoles tell of host keys. cloud-init prints a machine's public keys there at its first boot, between two marks; what others
//! print meanwhile may stand before, between and within these lines, and a cloud shows a console late, cut, or from its middle on.

use std::fmt;

use model::console::clean;
use shell::HostKey;

const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";
/// How the names of the kinds of keys begin.
const KINDS: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];

/// Why a console tells of no host key, or of none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Empty,
    /// There is neither a beginning nor an end of a block of keys.
    NoBlock,
    /// Of none both are there.
    Cut,
    /// The block has no key that a machine could prove to us; the kinds that it has.
    NoKey(Vec<String>),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::NoBlock => f.write_str("it has no block of host keys, such as cloud-init prints"),
            Self::Cut => f.write_str("its block of host keys is cut"),
            Self::NoKey(kinds) if kinds.is_empty() => f.write_str("its block of host keys holds none"),
            Self::NoKey(kinds) => write!(
                f,
                "its block of host keys holds none that can be used, only {}",
                kinds.join(", ")
            ),
        }
    }
}

/// The host key that a console tells of: of the keys in its last whole block the preferred one. A machine that was started again
/// may have printed another block, and be printing it just now.
///
/// # Errors
/// Why there is none.
pub(crate) fn host_key(console: &str) -> Result<HostKey, Lack> {
    let text = clean(console);
    if text.trim().is_empty() {
        return Err(Lack::Empty);
    }
    let Some(block) = last_block(&text) else {
        let is_cut = text.contains(BEGIN) || text.contains(END);
        return Err(if is_cut { Lack::Cut } else { Lack::NoBlock });
    };
    let mut best: Option<(u8, HostKey)> = None;
    let mut useless: Vec<String> = Vec::new();
    for (kind, key) in block.lines().filter_map(key_of_line) {
        match key.and_then(|key| Some((key.preference()?, key))) {
            Some(found) if best.as_ref().is_none_or(|best| found.0 < best.0) => best = Some(found),
            Some(_) => {}
            None if useless.iter().any(|it| it == kind) => {}
            None => useless.push(kind.to_owned()),
        }
    }
    best.map(|(_, key)| key).ok_or(Lack::NoKey(useless))
}

/// What stands in the last block that has its beginning and its end.
fn last_block(text: &str) -> Option<&str> {
    text.rmatch_indices(END).find_map(|(end, _)| {
        let before = text.get(..end)?;
        let begin = before.rfind(BEGIN)?.saturating_add(BEGIN.len());
        let block = before.get(begin..)?;
        (!block.contains(END)).then_some(block)
    })
}

/// The kind of the key that a line has, wherever it stands in it, and the key where it is whole; `None` where it has none.
fn key_of_line(line: &str) -> Option<(&str, Option<HostKey>)> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| KINDS.iter().any(|kind| word.starts_with(kind)))?;
    let key = words
        .next()
        .and_then(|data| HostKey::parse(&format!("{kind} {data}")).ok());
    Some((kind, key))
}

#[cfg(test)]
mod tests;
