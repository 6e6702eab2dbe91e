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

#[cfg(test)]
mod tests {
    use super::{element, open, text};

    #[test]
    fn elements_are_indented_by_their_depth_and_end_as_they_should() {
        let mut out = String::new();
        open(&mut out, 0, "package", &[("type", "rpm")]);
        out.push('\n');
        element(&mut out, 1, "version", &[("epoch", "0"), ("ver", "1.0")]);
        text(&mut out, 2, "name", &[], "hello");
        text(&mut out, 0, "checksum", &[("pkgid", "YES")], "");
        assert_eq!(
            out,
            "<package type=\"rpm\">\n  <version epoch=\"0\" ver=\"1.0\"/>\n    <name>hello</name>\n<checksum \
             pkgid=\"YES\"></checksum>\n"
        );
    }

    #[test]
    fn what_means_something_to_readers_is_escaped_where_it_does() {
        for (raw, in_text, in_attribute) in [
            ("a & b", "a &amp; b", "a &amp; b"),
            ("</name><x>", "&lt;/name&gt;&lt;x&gt;", "&lt;/name&gt;&lt;x&gt;"),
            ("\"quoted\"", "\"quoted\"", "&quot;quoted&quot;"),
            ("it's", "it's", "it's"),
            // A reader makes a space of it in an attribute, and a line feed of a return anywhere.
            ("a\nb\tc\rd", "a\nb\tc&#13;d", "a&#10;b&#9;c&#13;d"),
            ("&amp;", "&amp;amp;", "&amp;amp;"),
            ("ünïcode ☃", "ünïcode ☃", "ünïcode ☃"),
        ] {
            let mut out = String::new();
            text(&mut out, 0, "t", &[], raw);
            assert_eq!(out, format!("<t>{in_text}</t>\n"));
            let mut out = String::new();
            element(&mut out, 0, "e", &[("a", raw)]);
            assert_eq!(out, format!("<e a=\"{in_attribute}\"/>\n"));
        }
    }
}
