//! A JSON answer whose text is written by its handler: piece by piece while it is read from the database, so that one request
//! never holds the whole of it, or with keys in an order that means something.

use std::marker::PhantomData;

use futures_util::Stream;
use poem::{Body, IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::Json,
    registry::{MetaResponses, Registry},
    types::{ToJSON, Type},
};

/// JSON that has the schema of a `T`, in pieces.
pub(crate) struct Streamed<T> {
    body: Body,
    kind: PhantomData<T>,
}

impl<T> Streamed<T> {
    /// From its pieces. One that fails ends the connection, since it is too late for another answer.
    pub(crate) fn new(pieces: impl Stream<Item = Result<String, std::io::Error>> + Send + 'static) -> Self {
        Self {
            body: Body::from_bytes_stream(pieces),
            kind: PhantomData,
        }
    }
}

impl<T: Send> IntoResponse for Streamed<T> {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type("application/json")
            .body(self.body)
    }
}

impl<T: ToJSON + Type> ApiResponse for Streamed<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <Json<T> as ApiResponse>::register(registry);
    }
}
