//! Pages of lists, as Copr's clients ask for them and expect them echoed.

use poem_openapi::{Object, types::Type};
use store::{Build, BuildFilter, Page, Project, ProjectFilter, Store};

use crate::http::error::ApiError;

/// The most items of one answer. Clients that want more take pages.
const MOST: u64 = 10_000;

/// A page as asked for; `meta` of a list answer.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Meta")]
pub(crate) struct Paging {
    /// At most so many items; null when the client did not say, and then up to 10000 are given.
    pub(crate) limit: Option<i64>,
    /// Leaving out so many.
    pub(crate) offset: Option<i64>,
    /// By which field.
    pub(crate) order: Option<String>,
    /// `ASC` or `DESC`.
    pub(crate) order_type: Option<String>,
}

/// The fields that lists can be ordered by.
const ORDERS: [&str; 2] = ["id", "name"];

impl Paging {
    /// Checks what a client asked for.
    ///
    /// # Errors
    /// When a number is negative, or an order unknown: Copr answers 500, which helps nobody.
    pub(crate) fn read(
        limit: Option<i64>,
        offset: Option<i64>,
        order: Option<String>,
        order_type: Option<String>,
    ) -> Result<Self, ApiError> {
        for (name, value) in [("limit", limit), ("offset", offset)] {
            if value.is_some_and(|value| value < 0) {
                return Err(ApiError::Invalid(format!("{name}: Number must be at least 0.")));
            }
        }
        let order = order.unwrap_or_else(|| "id".to_owned());
        if !ORDERS.contains(&order.as_str()) {
            return Err(ApiError::Invalid(format!(
                "order: '{order}' is not one of {}.",
                ORDERS.join(", ")
            )));
        }
        let order_type = order_type.map_or_else(|| "ASC".to_owned(), |text| text.to_ascii_uppercase());
        if order_type != "ASC" && order_type != "DESC" {
            return Err(ApiError::Invalid(format!(
                "order_type: '{order_type}' is not one of ASC, DESC."
            )));
        }
        // What is echoed has to be true: clients add it to the offset to find the next page.
        let limit = limit.map(|limit| limit.min(i64::try_from(MOST).unwrap_or(i64::MAX)));
        Ok(Self {
            limit,
            offset: Some(offset.unwrap_or(0)),
            order: Some(order),
            order_type: Some(order_type),
        })
    }

    /// How many to leave out, and how many to give at most.
    fn bounds(&self) -> (u64, u64) {
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        (
            number(self.offset).unwrap_or(0),
            number(self.limit).unwrap_or(u64::MAX).min(MOST),
        )
    }

    /// Builds of this page, newest first.
    pub(crate) async fn builds(&self, store: &Store, filter: &BuildFilter) -> Result<Vec<Build>, ApiError> {
        let (mut offset, limit) = self.bounds();
        let mut found = Vec::new();
        while let Some(page) = next_page(limit, found.len(), offset) {
            let more = store.builds(filter, page).await?;
            let ended = is_last(more.len(), page);
            offset = offset.saturating_add(length(more.len()));
            found.extend(more);
            if ended {
                break;
            }
        }
        Ok(found)
    }

    /// Projects of this page, oldest first.
    pub(crate) async fn projects(
        &self,
        store: &Store,
        filter: &ProjectFilter,
    ) -> Result<Vec<Project>, ApiError> {
        let (mut offset, limit) = self.bounds();
        let mut found = Vec::new();
        while let Some(page) = next_page(limit, found.len(), offset) {
            let more = store.projects(filter, page).await?;
            let ended = is_last(more.len(), page);
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

fn is_last(got: usize, page: Page) -> bool {
    page.limit.is_some_and(|limit| length(got) < limit)
}

/// A list with its page.
#[derive(Debug, Object)]
pub(crate) struct Items<T: Type + poem_openapi::types::ParseFromJSON + poem_openapi::types::ToJSON> {
    /// The items of this page; none past the end.
    pub(crate) items: Vec<T>,
    /// The page.
    pub(crate) meta: Paging,
}

#[cfg(test)]
mod tests {
    use super::Paging;

    #[test]
    fn what_cannot_be_a_page_is_refused_by_name() {
        for (limit, offset, order, order_type, field) in [
            (Some(-1), None, None, None, "limit"),
            (None, Some(-5), None, None, "offset"),
            (None, None, Some("colour"), None, "order"),
            (None, None, None, Some("UP"), "order_type"),
        ] {
            let error = Paging::read(limit, offset, order.map(Into::into), order_type.map(Into::into))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{error}");
        }
    }

    #[test]
    fn a_slice_past_the_end_is_empty_and_a_limit_is_echoed() {
        let page = |limit, offset| Paging::read(limit, offset, None, None).unwrap();
        assert_eq!(page(None, None).slice(vec![1, 2, 3]), [1, 2, 3]);
        assert_eq!(page(Some(2), Some(1)).slice(vec![1, 2, 3]), [2, 3]);
        assert!(page(Some(2), Some(9)).slice(vec![1, 2, 3]).is_empty());
        assert_eq!(page(Some(1000), None).limit, Some(1000));
        assert_eq!(page(None, None).limit, None);
    }
}
