//! A JSON answer that is written straight from its view. poem-openapi's own makes a tree of values of it first, with each name
//! of each field in it, which costs several times what the text does.

use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::Json,
    registry::{MetaResponses, Registry},
    types::{ToJSON, Type},
};
use serde::Serialize;

/// JSON that has the schema of a `T`. The fields of a `T` are declared in the order of their names, in which all answers have them.
#[derive(Debug)]
pub(crate) struct Written<T>(pub(crate) T);

impl<T: Serialize + Send> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        poem::web::Json(self.0).into_response()
    }
}

impl<T: Serialize + ToJSON + Type> ApiResponse for Written<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <Json<T> as ApiResponse>::register(registry);
    }
}
