//! Rows that can be sorted, filtered and walked through: jobs, and workers.

use std::cmp::Ordering;

/// How a cell stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// Goes on.
    Busy,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

/// How many columns of the screen a table's column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Always so many.
    Fixed(u16),
    /// So many where the screen is wide, else none.
    Wide(u16),
    /// More where the screen is wide, else only the end of the text.
    End { narrow: u16, wide: u16 },
    /// What the others leave.
    Rest,
}

/// A column of a table.
pub(crate) struct Column<R> {
    pub(crate) title: &'static str,
    pub(crate) width: Width,
    pub(crate) is_number: bool,
    /// The order when it is chosen; a second look reverses it.
    pub(crate) largest_first: bool,
    pub(crate) compare: fn(&R, &R) -> Ordering,
    /// What is shown, at a time of the cluster in unix milliseconds.
    pub(crate) text: fn(&R, u64) -> String,
    pub(crate) tone: fn(&R) -> Tone,
}

/// What a list holds.
pub(crate) trait Row: Sized + 'static {
    /// Tells rows apart.
    type Id: Copy + PartialEq;

    /// The columns, in order.
    const COLUMNS: &'static [Column<Self>];

    fn id(&self) -> Self::Id;

    /// Whether a filter in lower case finds it.
    fn matches(&self, filter: &str) -> bool;

    /// The order of rows that the chosen column does not tell apart.
    fn tie(&self, other: &Self) -> Ordering;
}

/// A list on the screen.
#[derive(Debug)]
pub(crate) struct List<R: Row> {
    rows: Vec<R>,
    /// Indices of the rows that the filter lets through, sorted.
    shown: Vec<usize>,
    filter: String,
    column: usize,
    is_reversed: bool,
    /// What the user chose.
    selected: Option<R::Id>,
    /// Where the selection is, or was before its row went.
    position: usize,
    /// The first row on the screen, and how many there are.
    offset: usize,
    height: usize,
}

impl<R: Row> List<R> {
    /// An empty list sorted by this column.
    pub(crate) fn sorted_by(column: usize) -> Self {
        Self {
            rows: Vec::new(),
            shown: Vec::new(),
            filter: String::new(),
            column,
            is_reversed: false,
            selected: None,
            position: 0,
            offset: 0,
            height: 1,
        }
    }

    pub(crate) fn rows(&self) -> &[R] {
        &self.rows
    }

    /// Puts other rows in place; the selection stays with its row.
    pub(crate) fn set(&mut self, rows: Vec<R>) {
        self.rows = rows;
        self.arrange();
    }

    /// Rows that the filter lets through.
    pub(crate) fn len(&self) -> usize {
        self.shown.len()
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.arrange();
    }

    pub(crate) fn column(&self) -> &'static Column<R> {
        &R::COLUMNS[self.column]
    }

    /// Whether the column's largest values stand on top.
    pub(crate) fn is_descending(&self) -> bool {
        self.column().largest_first != self.is_reversed
    }

    pub(crate) fn next_column(&mut self) {
        self.column = (self.column + 1) % R::COLUMNS.len();
        self.is_reversed = false;
        self.arrange();
    }

    pub(crate) fn reverse(&mut self) {
        self.is_reversed = !self.is_reversed;
        self.arrange();
    }

    pub(crate) fn selected(&self) -> Option<&R> {
        self.shown.get(self.position).map(|index| &self.rows[*index])
    }

    /// How many rows stand above the selected one.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Moves the selection, at most to an end.
    pub(crate) fn move_by(&mut self, rows: isize) {
        self.select(self.position.saturating_add_signed(rows));
    }

    /// Moves the selection by screens.
    pub(crate) fn page(&mut self, pages: isize) {
        let rows = isize::try_from(self.height).unwrap_or(isize::MAX);
        self.move_by(rows.saturating_mul(pages));
    }

    pub(crate) fn select(&mut self, position: usize) {
        self.put_at(position);
        self.selected = self.selected().map(Row::id);
    }

    /// Says how many rows the screen has.
    pub(crate) fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        self.scroll();
    }

    /// The rows on the screen, and whether each is selected.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (&R, bool)> {
        let positions = self.shown.iter().enumerate().skip(self.offset);
        positions
            .take(self.height)
            .map(|(position, index)| (&self.rows[*index], position == self.position))
    }

    /// All rows that the filter lets through, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &R> {
        self.shown.iter().map(|index| &self.rows[*index])
    }

    fn arrange(&mut self) {
        let filter = self.filter.to_lowercase();
        let rows = &self.rows;
        self.shown = (0..rows.len())
            .filter(|index| filter.is_empty() || rows[*index].matches(&filter))
            .collect();
        let (compare, is_descending) = (self.column().compare, self.is_descending());
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a], &rows[*b]);
            let order = compare(a, b);
            let order = if is_descending { order.reverse() } else { order };
            order.then_with(|| a.tie(b))
        });
        let found = self
            .selected
            .and_then(|id| self.shown.iter().position(|index| rows[*index].id() == id));
        // A row that is gone leaves the selection where it was; before the user's first choice it is on top.
        match (found, self.selected) {
            (Some(position), _) => self.put_at(position),
            (None, Some(_)) => self.select(self.position),
            (None, None) => self.put_at(0),
        }
    }

    fn put_at(&mut self, position: usize) {
        self.position = position.min(self.shown.len().saturating_sub(1));
        self.scroll();
    }

    fn scroll(&mut self) {
        let last = self.shown.len().saturating_sub(self.height);
        let lowest = (self.position + 1).saturating_sub(self.height);
        self.offset = self.offset.clamp(lowest, self.position.max(lowest)).min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fruit(u32, &'static str);

    impl Row for Fruit {
        type Id = u32;

        const COLUMNS: &'static [Column<Self>] = &[
            Column {
                title: "NUMBER",
                width: Width::Fixed(6),
                is_number: true,
                largest_first: true,
                compare: |a, b| a.0.cmp(&b.0),
                text: |row, _| row.0.to_string(),
                tone: |_| Tone::Plain,
            },
            Column {
                title: "NAME",
                width: Width::Rest,
                is_number: false,
                largest_first: false,
                compare: |a, b| a.1.len().cmp(&b.1.len()),
                text: |row, _| row.1.to_owned(),
                tone: |_| Tone::Plain,
            },
        ];

        fn id(&self) -> u32 {
            self.0
        }

        fn matches(&self, filter: &str) -> bool {
            self.1.contains(filter)
        }

        fn tie(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }

    fn list() -> List<Fruit> {
        let mut list = List::sorted_by(0);
        list.fit(2);
        list.set(vec![
            Fruit(1, "kiwi"),
            Fruit(2, "fig"),
            Fruit(3, "lime"),
            Fruit(4, "plum"),
        ]);
        list
    }

    fn order(list: &List<Fruit>) -> Vec<u32> {
        list.all().map(|row| row.0).collect()
    }

    #[test]
    fn a_column_has_an_order_and_its_reverse() {
        let mut list = list();
        assert_eq!(order(&list), [4, 3, 2, 1]);
        list.reverse();
        assert_eq!(order(&list), [1, 2, 3, 4]);
        list.next_column();
        // By length, and by number where lengths are equal.
        assert_eq!(order(&list), [2, 1, 3, 4]);
        list.reverse();
        assert_eq!(order(&list), [1, 3, 4, 2]);
        list.next_column();
        assert_eq!(order(&list), [4, 3, 2, 1]);
    }

    #[test]
    fn the_selection_stays_with_its_row() {
        let mut list = list();
        list.move_by(1);
        assert_eq!(list.selected().map(|row| row.0), Some(3));
        list.set(vec![Fruit(3, "lime"), Fruit(9, "date"), Fruit(8, "pear")]);
        assert_eq!(list.selected().map(|row| row.0), Some(3));
        list.set(vec![Fruit(9, "date"), Fruit(8, "pear")]);
        assert_eq!(
            list.selected().map(|row| row.0),
            Some(8),
            "the nearest one to where it was"
        );
        list.set(Vec::new());
        assert!(list.selected().is_none());
        list.move_by(-5);
    }

    #[test]
    fn before_a_choice_the_first_row_is_selected_whichever_it_is() {
        let mut list = list();
        list.set(vec![Fruit(4, "plum"), Fruit(7, "pear")]);
        assert_eq!(list.selected().map(|row| row.0), Some(7));
        list.select(0);
        list.set(vec![Fruit(4, "plum"), Fruit(7, "pear"), Fruit(8, "date")]);
        assert_eq!(list.selected().map(|row| row.0), Some(7));
    }

    #[test]
    fn a_filter_ignores_case_and_can_be_taken_away() {
        let mut list = list();
        list.set_filter("I".to_owned());
        assert_eq!(order(&list), [3, 2, 1]);
        list.set_filter(String::new());
        assert_eq!(list.len(), 4);
    }

    #[test]
    fn only_rows_on_the_screen_are_drawn_and_the_selected_one_is_among_them() {
        let mut list = list();
        let visible = |list: &List<Fruit>| list.visible().map(|(row, is)| (row.0, is)).collect::<Vec<_>>();
        assert_eq!(visible(&list), [(4, true), (3, false)]);
        list.move_by(2);
        assert_eq!(visible(&list), [(3, false), (2, true)]);
        list.page(1);
        assert_eq!(visible(&list), [(2, false), (1, true)]);
        list.fit(9);
        assert_eq!(visible(&list).len(), 4);
        list.select(0);
        list.fit(1);
        assert_eq!(visible(&list), [(4, true)]);
    }
}
