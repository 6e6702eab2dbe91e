//! Answers that are kept while nothing in the database changes. Pages and programs ask for the same lists again and again; one
//! question to the database, whether anything was committed, costs a fraction of the list.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use lru::LruCache;
use poem::{
    Body, Request, Response,
    http::{HeaderMap, Method, StatusCode, header},
};
use store::{DataVersion, Store};

use crate::http::error::ApiError;

/// How many answers are kept: those that were asked for last.
const MOST: NonZero<usize> = NonZero::new(256).expect("more than none");
/// The longest answer that is kept: together they take 32 MiB at most.
const LONGEST_BYTES: usize = 128 << 10;

/// Operations whose answers follow from the address and the database alone: not from the clock, a file, who asks or what this
/// process knows.
const OPERATIONS: [&str; 7] = [
    "/api_3/build/list",
    "/api_3/monitor",
    "/api_3/package",
    "/api_3/package/list",
    "/api_3/project",
    "/api_3/project/list",
    "/api_3/project/search",
];

/// The answers, by their addresses. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeptAnswers(Arc<Mutex<LruCache<String, Kept>>>);

#[derive(Clone)]
struct Kept {
    version: DataVersion,
    headers: HeaderMap,
    body: Bytes,
}

impl Default for KeptAnswers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(MOST))))
    }
}

/// What may become of a request.
enum Plan {
    /// It is answered anew, and the answer is not kept.
    Pass,
    /// It is answered anew, and the answer is kept.
    Renew,
    /// A kept answer is good.
    Use,
}

fn plan(request: &Request) -> Plan {
    let headers = request.headers();
    let is_somebody = headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE);
    if request.method() != Method::GET || is_somebody || !OPERATIONS.contains(&request.uri().path()) {
        return Plan::Pass;
    }
    let control = headers.get(header::CACHE_CONTROL);
    match control.and_then(|value| value.to_str().ok()) {
        Some(value)
            if value
                .split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("no-cache")) =>
        {
            Plan::Renew
        }
        _ => Plan::Use,
    }
}

impl KeptAnswers {
    fn get(&self, address: &str, version: &DataVersion) -> Option<Kept> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = answers.get(address)?;
        (kept.version == *version).then(|| kept.clone())
    }

    /// Answers a request with what is kept, or as `answer` does. A request with `Cache-Control: no-cache` is answered anew.
    pub(crate) async fn answer<F>(
        &self,
        store: &Store,
        request: Request,
        answer: impl FnOnce(Request) -> F,
    ) -> poem::Result<Response>
    where
        F: Future<Output = poem::Result<Response>>,
    {
        let plan = plan(&request);
        if matches!(plan, Plan::Pass) {
            return answer(request).await;
        }
        // Asked for before the answer is made: what is committed meanwhile makes the answer too new for it, never too old.
        let version = store.data_version().await.map_err(ApiError::from)?;
        let address = request.uri().to_string();
        if matches!(plan, Plan::Use)
            && let Some(kept) = self.get(&address, &version)
        {
            return Ok(kept.response());
        }
        let mut response = answer(request).await?;
        if response.status() != StatusCode::OK {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = response.take_body().into_bytes().await?;
        let kept = Kept {
            version,
            headers,
            body,
        };
        let response = kept.response();
        if kept.body.len() <= LONGEST_BYTES {
            let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            answers.put(address, kept);
        }
        Ok(response)
    }
}

impl Kept {
    fn response(&self) -> Response {
        let mut response = Response::default();
        response.headers_mut().clone_from(&self.headers);
        response.set_body(Body::from_bytes(self.body.clone()));
        response
    }
}

#[cfg(test)]
mod tests;
