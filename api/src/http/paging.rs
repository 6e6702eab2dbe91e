//! Pages of lists, as Copr's clients ask for them and expect them echoed.

use poem_openapi::{Object, types::Type};
use serde::Serialize;
use store::{Order, Page};

use crate::http::{
    error::ApiError,
    parameters::{Count, Direction, Of, OrderBy},
};

/// The most items of one answer.
const MOST: u64 = 10_000;

/// The part of a list that an answer holds: limit, offset and order as they were applied.
#[derive(Clone, Debug, PartialEq, Eq, Object, Serialize)]
#[oai(rename = "Meta")]
pub(crate) struct Paging {
    /// The most items that the page may hold; null when the request set no limit, and then the list is whole.
    pub(crate) limit: Option<i64>,
    /// How many items of the list come before the page. The next page begins at `offset` + `limit`.
    pub(crate) offset: Option<i64>,
    /// The field by which the list is in order.
    pub(crate) order: Option<String>,
    /// `ASC`: the smallest comes first. `DESC`: the largest comes first.
    pub(crate) order_type: Option<String>,
}

/// The limit and the offset that a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) limit: Option<Of<Count>>,
    pub(crate) offset: Option<Of<Count>>,
}

/// The field and the direction by which a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorting {
    pub(crate) by: OrderBy,
    pub(crate) direction: Direction,
}

impl Sorting {
    /// As a request says, else by ascending number.
    pub(crate) fn read(order: Option<Of<OrderBy>>, order_type: Option<Of<Direction>>) -> Self {
        Self {
            by: order.map_or(OrderBy::Id, |Of(by)| by),
            direction: order_type.map_or(Direction::Ascending, |Of(direction)| direction),
        }
    }

    /// The same for the database.
    pub(crate) const fn order(self) -> Order {
        match (self.by, self.direction) {
            (OrderBy::Id, Direction::Ascending) => Order::Id,
            (OrderBy::Id, Direction::Descending) => Order::IdDescending,
            (OrderBy::Name, Direction::Ascending) => Order::Name,
            (OrderBy::Name, Direction::Descending) => Order::NameDescending,
        }
    }
}

impl Paging {
    /// The page that is wanted. A limit beyond the largest counts as the largest, and is echoed so: clients add it to the offset
    /// to find the next page.
    pub(crate) fn new(wanted: Wanted, sorting: Sorting) -> Self {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            limit: wanted.limit.map(|Of(Count(limit))| signed(limit.min(MOST))),
            offset: Some(wanted.offset.map_or(0, |Of(Count(offset))| signed(offset))),
            order: Some(sorting.by.word().to_owned()),
            order_type: Some(sorting.direction.word().to_owned()),
        }
    }

    /// How many to leave out, and how many to give at most.
    fn bounds(&self) -> (u64, u64) {
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        (
            number(self.offset).unwrap_or(0),
            number(self.limit).unwrap_or(u64::MAX).min(MOST),
        )
    }

    /// The items of this page, which `ask` gets from the database in portions that one statement loads. `what` they are is said
    /// where there are too many of them.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] when the request sets no limit and the list is longer than one answer may be: a part of it that
    /// looks like the whole would be worse.
    pub(crate) async fn collect<T, F>(&self, what: &str, ask: impl Fn(Page) -> F) -> Result<Vec<T>, ApiError>
    where
        F: Future<Output = store::Result<Vec<T>>>,
    {
        let (mut offset, limit) = self.bounds();
        if self.limit.is_none() {
            let beyond = Page {
                limit: Some(1),
                offset: offset.saturating_add(MOST),
            };
            if !ask(beyond).await?.is_empty() {
                // Copr's words for packages.
                return Err(ApiError::TooLarge(format!(
                    "Too many {what}, please use pagination. Requests are limited to only {MOST} {what} at once."
                )));
            }
        }
        let mut found = Vec::new();
        while let Some(page) = next_page(limit, found.len(), offset) {
            let more = ask(page).await?;
            let ended = page.limit.is_some_and(|limit| length(more.len()) < limit);
            offset = offset.saturating_add(length(more.len()));
            found.extend(more);
            if ended {
                break;
            }
        }
        Ok(found)
    }

    /// The part of a list that is all in memory.
    pub(crate) fn slice<T>(&self, items: Vec<T>) -> Vec<T> {
        let (offset, limit) = self.bounds();
        let clamp = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        items.into_iter().skip(clamp(offset)).take(clamp(limit)).collect()
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The next page to ask the database for; none when there is enough.
fn next_page(limit: u64, have: usize, offset: u64) -> Option<Page> {
    let left = limit.saturating_sub(length(have)).min(Page::LONGEST);
    (left > 0).then_some(Page {
        limit: Some(left),
        offset,
    })
}

/// A part of a list, and which part it is.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Items<T: Type + poem_openapi::types::ParseFromJSON + poem_openapi::types::ToJSON> {
    /// The items of this part; empty when the offset is past the end of the list.
    pub(crate) items: Vec<T>,
    /// Which part of the list this is, and in which order.
    pub(crate) meta: Paging,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use store::Page;

    use super::{Paging, Sorting, Wanted};
    use crate::http::parameters::{Count, Direction, Of, OrderBy};

    const BY_NAME: Sorting = Sorting {
        by: OrderBy::Name,
        direction: Direction::Descending,
    };

    fn page(limit: Option<u64>, offset: Option<u64>) -> Paging {
        let count = |number: Option<u64>| number.map(|number| Of(Count(number)));
        let wanted = Wanted {
            limit: count(limit),
            offset: count(offset),
        };
        Paging::new(wanted, BY_NAME)
    }

    /// A list of so many numbers, and how often it is asked.
    async fn collected(paging: &Paging, length: u64) -> (Result<Vec<u64>, String>, usize) {
        let asked = Mutex::new(0);
        let list = paging
            .collect("numbers", |page: Page| {
                *asked.lock().unwrap() += 1;
                let end = length.min(page.offset.saturating_add(page.limit.unwrap()));
                async move { Ok((page.offset.min(end)..end).collect()) }
            })
            .await;
        let asked = *asked.lock().unwrap();
        (list.map_err(|error| error.to_string()), asked)
    }

    #[test]
    fn what_is_heeded_is_echoed() {
        let meta = page(Some(20), Some(40));
        assert_eq!((meta.limit, meta.offset), (Some(20), Some(40)));
        assert_eq!(
            (meta.order.as_deref(), meta.order_type.as_deref()),
            (Some("name"), Some("DESC"))
        );
        assert_eq!(page(None, None).limit, None);
        assert_eq!(page(Some(u64::MAX), Some(u64::MAX)).limit, Some(10_000));
        assert_eq!(page(Some(u64::MAX), Some(u64::MAX)).offset, Some(i64::MAX));
    }

    #[test]
    fn a_slice_past_the_end_is_empty() {
        assert_eq!(page(None, None).slice(vec![1, 2, 3]), [1, 2, 3]);
        assert_eq!(page(Some(2), Some(1)).slice(vec![1, 2, 3]), [2, 3]);
        assert!(page(Some(2), Some(9)).slice(vec![1, 2, 3]).is_empty());
        assert!(page(Some(0), None).slice(vec![1, 2, 3]).is_empty());
    }

    #[tokio::test]
    async fn a_page_is_asked_for_in_portions_and_no_more_than_it_holds() {
        let (list, asked) = collected(&page(Some(2500), Some(10)), 100_000).await;
        assert_eq!(list.unwrap(), (10..2510).collect::<Vec<u64>>());
        assert_eq!(asked, 3);
        let (list, _) = collected(&page(Some(2500), Some(99_000)), 100_000).await;
        assert_eq!(list.unwrap().len(), 1000);
        assert!(
            collected(&page(Some(5), Some(u64::MAX)), 100_000)
                .await
                .0
                .unwrap()
                .is_empty()
        );
        assert_eq!(collected(&page(Some(0), None), 100).await, (Ok(Vec::new()), 0));
    }

    #[tokio::test]
    async fn without_a_limit_a_list_is_whole_or_refused_at_once() {
        let (list, _) = collected(&page(None, None), 10_000).await;
        assert_eq!(list.unwrap().len(), 10_000);
        let (list, asked) = collected(&page(None, None), 10_001).await;
        assert_eq!(
            list.unwrap_err(),
            "Too many numbers, please use pagination. Requests are limited to only 10000 numbers at once."
        );
        assert_eq!(asked, 1);
        let (list, _) = collected(&page(None, Some(1)), 10_001).await;
        assert_eq!(list.unwrap().len(), 10_000);
        let (list, _) = collected(&page(Some(10_000), None), 10_001).await;
        assert_eq!(list.unwrap().len(), 10_000);
    }
}
