//! Tables for people: a header, and columns as wide as what is in them.

/// The rows below their header, one in a line. The last column is as long as it is.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![header.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    let width_of = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width_of).collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(
            &["POOL", "N", "WHY"],
            vec![row(["x86", "10", "as wanted"]), row(["länger", "1", ""])],
        );
        assert_eq!(text, "POOL    N   WHY\nx86     10  as wanted\nlänger  1\n");
    }
}
