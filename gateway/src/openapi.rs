//! `/openapi.json`.

use actix_web::HttpResponse;

/// `GET /openapi.json`
pub(crate) async fn page() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"openapi": "3.1.0"}))
}
