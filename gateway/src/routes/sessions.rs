//! `/v1/sessions`: clients that say that they are still there.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use millstream_protocol::api::{SessionView, Span};
use millstream_protocol::codec;
use millstream_protocol::wire::ClientSession;
use uuid::Uuid;

use super::params::{Query, parse, path_part};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;
use crate::script::Names;

/// `PUT /v1/sessions/{session}`: opens or renews a session. After a loss of the store's data it opens it again.
pub(crate) async fn renew(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let id = session_of(&request)?;
    gateway.put_session(id, ClientSession::Open).await?;
    Names::renew(&gateway, id).await?;
    let ttl = Span(gateway.settings.session_ttl);
    Ok(ok(&request, &SessionView { id, ttl }))
}

/// `DELETE /v1/sessions/{session}`: ends a session and all that is attached to it.
pub(crate) async fn end(request: HttpRequest, gateway: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let id = session_of(&request)?;
    gateway.put_session(id, ClientSession::Ended).await?;
    Names::forget(&gateway, id).await?;
    Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish())
}

fn session_of(request: &HttpRequest) -> Result<Uuid, ApiError> {
    Query::of(request, &[])?;
    parse(
        "session",
        &path_part(request, "session"),
        "session id: expected a UUID",
    )
}

impl Context {
    async fn put_session(&self, id: Uuid, session: ClientSession) -> Result<(), ApiError> {
        // A unit variant is its name: it always encodes.
        let data = Bytes::from(codec::encode(&session).unwrap_or_default());
        let ttl = self.settings.session_ttl;
        Ok(self.state.put_session(&id.to_string(), data, ttl).await?)
    }

    /// Refuses to attach a job to a session that nobody renews: it would be cancelled at once.
    pub(crate) async fn check_session(&self, session: &str) -> Result<(), ApiError> {
        match self.state.session(session).await {
            Ok(Some(data)) if codec::decode(&data) == Ok(ClientSession::Open) => Ok(()),
            // Whether it is there cannot be known now. The leader, who waits before it ends anything, will see.
            Err(error) if error.is_retryable() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(ApiError::UnknownSession(session.to_owned())),
        }
    }
}
