//! `/` and `/v1/sign-in`: how a browser gets its cookie.

use actix_web::http::header::{HOST, LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_types::ByteSize;
use serde::{Deserialize, Serialize};

use super::params::Query;
use crate::access::{Access, cookie_name};
use crate::assets;
use crate::body::{self, BodyFormat};
use crate::error::ApiError;
use crate::reply::ok;
use crate::signin::COOKIE_LIFETIME;

/// A token or a code, and the braces around it.
const BODY_LIMIT: ByteSize = ByteSize::new(4_096);
/// Time to send so little.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// No script reads the cookie, and no other site's page makes the browser send it.
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";

/// What a browser shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignIn {
    token: Option<String>,
    code: Option<String>,
}

/// A code for a link.
#[derive(Debug, Serialize)]
struct CodeView {
    code: String,
    /// The dashboard's link, relative to the gateway.
    link: String,
}

/// `GET /`: the dashboard; with `code`, signs in first, and leaves the code out of the address.
pub(crate) async fn page(request: HttpRequest, access: web::Data<Access>) -> HttpResponse {
    let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    let Some((_, code)) = pairs.find(|(name, _)| name == "code") else {
        return assets::page(&request);
    };
    let mut response = HttpResponse::SeeOther();
    if access.sign_ins().use_code(&code) {
        response.insert_header((SET_COOKIE, cookie(&request, &access.sign_ins().cookie())));
        response.insert_header((LOCATION, "./"));
    } else {
        // The page says what to do.
        response.insert_header((LOCATION, "./#/sign-in"));
    }
    response.finish()
}

/// `POST /v1/sign-in`
pub(crate) async fn sign_in(
    request: HttpRequest,
    access: web::Data<Access>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let bytes = body::read(&request, payload, BODY_LIMIT, BODY_TIMEOUT).await?;
    let shown: SignIn = body::decode(BodyFormat::of(&request)?, &bytes)?;
    match (&shown.token, &shown.code) {
        (Some(token), _) if access.token().matches(token.trim()) => {}
        (Some(_), _) => return Err(ApiError::WrongToken),
        (None, Some(code)) if access.sign_ins().use_code(code.trim()) => {}
        (None, Some(_)) => return Err(ApiError::WrongCode),
        (None, None) => return Err(ApiError::NoToken),
    }
    Ok(HttpResponse::NoContent()
        .insert_header((SET_COOKIE, cookie(&request, &access.sign_ins().cookie())))
        .finish())
}

/// `DELETE /v1/sign-in`: the browser forgets its cookie.
pub(crate) async fn sign_out(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let gone = format!("{}; {ATTRIBUTES}; Max-Age=0", pair(&request, ""));
    Ok(HttpResponse::NoContent()
        .insert_header((SET_COOKIE, gone))
        .finish())
}

/// `POST /v1/sign-in/codes`
pub(crate) async fn make_code(
    request: HttpRequest,
    access: web::Data<Access>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let code = access.sign_ins().code();
    let link = format!("/?code={code}");
    Ok(ok(&request, &CodeView { code, link }))
}

fn cookie(request: &HttpRequest, value: &str) -> String {
    let seconds = COOKIE_LIFETIME.as_secs();
    format!("{}; {ATTRIBUTES}; Max-Age={seconds}", pair(request, value))
}

fn pair(request: &HttpRequest, value: &str) -> String {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    format!("{}={value}", cookie_name(host.unwrap_or_default()))
}
