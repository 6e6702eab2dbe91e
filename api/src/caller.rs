//! Who asks, and what they may do. [`Caller`] is an extractor: a handler that takes one is not reached
//! without a good token, and a test walks the OpenAPI document for operations that forgot it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::OwnerName;
use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use store::{Project, User};

use crate::{http::error::ApiError, state::ApiState};

/// The name of the way to log in, in the OpenAPI document.
const SCHEME: &str = "token";

/// Longer than any header with a login and a token of ours.
const MAX_CREDENTIALS: usize = 4096;

/// The user whose token came with the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) User);

/// Somebody with a good token who runs the farm.
#[derive(Clone, Debug)]
pub(crate) struct Operator;

impl Caller {
    pub(crate) fn name(&self) -> &OwnerName {
        &self.0.name
    }

    /// Whether the caller may change things that belong to `owner`.
    pub(crate) fn may_act_for(&self, owner: &OwnerName) -> bool {
        self.0.is_operator || self.0.name == *owner
    }

    /// Refuses whoever may not change the project.
    pub(crate) fn check_may_edit(&self, project: &Project) -> Result<(), ApiError> {
        if self.may_act_for(&project.owner) {
            return Ok(());
        }
        Err(ApiError::Forbidden(
            "Only owners and admins may update their projects.".to_owned(),
        ))
    }

    /// Refuses whoever may not build in the project.
    pub(crate) fn check_may_build(&self, project: &Project) -> Result<(), ApiError> {
        if self.may_act_for(&project.owner) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!(
            "User {} is not allowed to build in the copr: {}/{}",
            self.0.name, project.owner, project.name
        )))
    }
}

async fn authenticate(request: &Request) -> Result<Caller, ApiError> {
    let state = request
        .data::<ApiState>()
        .ok_or_else(|| ApiError::Internal("the request carries no state".to_owned()))?;
    let refused = || ApiError::not_logged_in(&state.settings().public_url);
    let (login, token) = credentials(request).ok_or_else(refused)?;
    let user = state.store().authenticate(&login, &token, state.now()).await?;
    user.map(Caller).ok_or_else(refused)
}

/// Login and token of an `Authorization: Basic` header.
fn credentials(request: &Request) -> Option<(String, String)> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    if header.len() > MAX_CREDENTIALS {
        return None;
    }
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (login, token) = decoded.split_once(':')?;
    if login.is_empty() || token.is_empty() || decoded.contains('\0') {
        return None;
    }
    Some((login.to_owned(), token.to_owned()))
}

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some(
                "The login and the token of a section of `~/.config/copr`, as user name and password.",
            ),
            name: None,
            key_in: None,
            scheme: Some("basic"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        },
    );
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(authenticate(request).await?)
    }
}

impl<'a> ApiExtractor<'a> for Operator {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = authenticate(request).await?;
        if !caller.0.is_operator {
            return Err(ApiError::Forbidden(format!(
                "Only operators of the farm may see this, and '{}' is not one.",
                caller.0.name
            ))
            .into());
        }
        Ok(Self)
    }
}
