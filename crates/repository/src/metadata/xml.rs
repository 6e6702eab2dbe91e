//! Writing XML: elements, attributes and texts, escaped, indented by two spaces as createrepo_c does.

/// Writes `<name a="b">`, without a line end.
pub(super) fn open(out: &mut String, depth: usize, name: &str, attributes: &[(&str, &str)]) {
    start(out, depth, name, attributes);
    out.push('>');
}

/// Writes an empty element and a line end.
pub(super) fn element(out: &mut String, depth: usize, name: &str, attributes: &[(&str, &str)]) {
    start(out, depth, name, attributes);
    out.push_str("/>\n");
}

/// Writes an element with a text and a line end.
pub(super) fn text(out: &mut String, depth: usize, name: &str, attributes: &[(&str, &str)], text: &str) {
    open(out, depth, name, attributes);
    escape(out, text, false);
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n");
}

fn start(out: &mut String, depth: usize, name: &str, attributes: &[(&str, &str)]) {
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push('<');
    out.push_str(name);
    for (name, value) in attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value, true);
        out.push('"');
    }
}

/// Readers fold white space in attributes and line ends everywhere, unless it is written as a reference.
fn escape(out: &mut String, text: &str, attribute: bool) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            other => out.push(other),
        }
    }
}
