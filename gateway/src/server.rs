//! The HTTP server: sockets, threads, and what happens to every request before and after its route.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpServer, ResponseError as _, web};

use crate::access::Access;
use crate::context::Context;
use crate::error::ApiError;
use crate::routes;

/// Threads that serve requests. They only move bytes and decode bodies, so more than this is no gain.
const MAX_THREADS: usize = 4;

/// How long open requests may take when the gateway stops; a stream of events has no end of its own.
const STOP_GRACE_SECONDS: u64 = 5;

/// Connections that are open at once, per thread.
const MAX_CONNECTIONS: usize = 4_096;

/// Makes the server; it runs when it is awaited.
pub(crate) fn serve(
    listener: TcpListener,
    gateway: Arc<Context>,
    access: Arc<Access>,
) -> std::io::Result<Server> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS);
    let request_timeout = gateway.settings.request_timeout;
    let gateway = web::Data::from(gateway);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(gateway.clone())
            .app_data(web::Data::from(Arc::clone(&access)))
            .wrap(from_fn(guard))
            .wrap(from_fn(observe))
            .configure(routes::configure)
    })
    .workers(threads)
    .max_connections(MAX_CONNECTIONS)
    .client_request_timeout(request_timeout)
    .client_disconnect_timeout(Duration::from_secs(1))
    .shutdown_timeout(STOP_GRACE_SECONDS)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// Counts and times every request.
async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let gateway = request.app_data::<web::Data<Context>>().cloned();
    let method = request.method().clone();
    if let Some(gateway) = &gateway {
        gateway.metrics.http.in_flight().add(1);
    }
    let result = next.call(request).await;
    if let Some(gateway) = &gateway {
        gateway.metrics.http.in_flight().add(-1);
        if let Ok(response) = &result {
            let route = response.request().match_pattern();
            let status = response.status().as_u16();
            gateway
                .metrics
                .http
                .answered(method.as_str(), route.as_deref(), status, started.elapsed());
        }
    }
    result
}

/// Refuses strangers, and more requests at once than can be worked on.
async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let access = request.app_data::<web::Data<Access>>().cloned();
    let gateway = request.app_data::<web::Data<Context>>().cloned();
    let verdict = match &access {
        Some(access) => access.check(request.request()),
        None => Err(ApiError::NoToken),
    };
    let permit = gateway.and_then(|gateway| gateway.requests.clone().try_acquire_owned().ok());
    let verdict = verdict.and_then(|()| permit.ok_or(ApiError::TooManyRequests));
    match verdict {
        Ok(_permit) => Ok(next.call(request).await?.map_into_left_body()),
        Err(refusal) => {
            let response = refusal.error_response();
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}
