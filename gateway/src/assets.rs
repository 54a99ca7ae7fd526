//! The dashboard's program, built into this one. It is made in `dashboard/` and committed there; see `docs/adr/0008`.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};

use crate::error::ApiError;

/// A built file.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $content_type:literal, $path:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../dashboard/dist/", $path)),
        }
    };
}

static PAGE: Asset = asset!("index.html", "text/html; charset=utf-8", "index.html");

static ASSETS: [Asset; 3] = [
    asset!("app.js", "text/javascript; charset=utf-8", "assets/app.js"),
    asset!("app.css", "text/css; charset=utf-8", "assets/app.css"),
    asset!("icon.svg", "image/svg+xml", "assets/icon.svg"),
];

/// Nothing from elsewhere, no script but ours, in nobody else's frame.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'self'";

/// `GET /assets/{file}`
pub(crate) async fn file(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let name = request.match_info().query("file");
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => Ok(send(&request, asset)),
        None => Err(ApiError::UnknownPath(request.path().to_owned())),
    }
}

/// The page that loads the rest.
pub(crate) fn page(request: &HttpRequest) -> HttpResponse {
    send(request, &PAGE)
}

fn send(request: &HttpRequest, asset: &'static Asset) -> HttpResponse {
    let tag = format!("\"{}\"", &blake3::hash(asset.bytes).to_hex()[..16]);
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let mut response = if known == Some(tag.as_str()) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((CONTENT_TYPE, asset.content_type))
        // Asked for again each time: the next version of the gateway brings other bytes under the same name.
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag.clone()))
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        // The link may carry a code.
        .insert_header(("referrer-policy", "no-referrer"));
    if known == Some(tag.as_str()) {
        response.finish()
    } else {
        response.body(asset.bytes)
    }
}
