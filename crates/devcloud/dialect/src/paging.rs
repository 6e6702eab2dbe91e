//! `MaxResults` and `NextToken`. A token names the action and the last item given, so that it stays good while
//! items come and go, and a token of another list is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::ApiError;

/// Where a page begins and how long it may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    action: &'static str,
    after: Option<String>,
    most: Option<usize>,
}

/// A whole number between two others.
///
/// # Errors
/// `InvalidParameterValue` with the parameter's name.
pub fn within(name: &str, number: i64, least: i64, most: i64) -> Result<i64, ApiError> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let reason = format!("It must be a number from {least} to {most}.");
    Err(ApiError::invalid(name, &number.to_string(), &reason))
}

impl Page {
    /// Checks both parameters. `least` to 1000 results may be asked for.
    ///
    /// # Errors
    /// `InvalidParameterValue`, `InvalidNextToken`.
    pub fn check(
        action: &'static str,
        max_results: Option<i64>,
        next_token: Option<&str>,
        least: i64,
    ) -> Result<Self, ApiError> {
        let most = max_results
            .map(|number| within("MaxResults", number, least, 1000))
            .transpose()?
            .and_then(|most| usize::try_from(most).ok());
        let invalid = || ApiError::new("InvalidNextToken", "The specified NextToken is not valid");
        let after = next_token
            .map(|token| decode(action, token).ok_or_else(invalid))
            .transpose()?;
        Ok(Self { action, after, most })
    }

    /// Whether a limit or a place to go on from was asked for.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.after.is_some() || self.most.is_some()
    }

    /// The items of this page, and the token of the next one. `items` have to be in the order of `key`.
    #[must_use]
    pub fn cut<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let after = self.after.as_deref().unwrap_or_default();
        let mut rest: Vec<T> = items
            .into_iter()
            .filter(|item| key(item).as_str() > after)
            .collect();
        let Some(most) = self.most.filter(|most| rest.len() > *most) else {
            return (rest, None);
        };
        rest.truncate(most);
        let token = rest.last().map(|last| self.token(&key(last)));
        (rest, token)
    }

    /// The token of the page that begins behind the item with this key.
    #[must_use]
    pub fn token(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\n{key}", self.action))
    }
}

fn decode(action: &str, token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (named, after) = text.split_once('\n')?;
    (named == action && !after.is_empty()).then(|| after.to_owned())
}

#[cfg(test)]
mod tests;
