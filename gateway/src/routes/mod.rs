//! One file per resource. A route reads its parameters, asks the parts of the gateway, and writes the answer.

pub(crate) mod events;
pub(crate) mod give_up;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod layers;
pub(crate) mod live;
pub(crate) mod outputs;
pub(crate) mod params;
pub(crate) mod report;
mod results;
pub(crate) mod retry;
pub(crate) mod sessions;
pub(crate) mod shared;
pub(crate) mod signin;
pub(crate) mod sql;
pub(crate) mod stacks;
pub(crate) mod system;
pub(crate) mod tasks;
pub(crate) mod uploads;
pub(crate) mod workers;

use actix_web::{HttpRequest, web};

use crate::assets;
use crate::error::ApiError;
use crate::openapi;

/// Registers every route. Paths are the public interface; `openapi.rs` describes them.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/healthz").route(web::get().to(health::live)))
        .service(resource("/readyz").route(web::get().to(health::ready)))
        .service(resource("/metrics").route(web::get().to(health::metrics)))
        .service(resource("/openapi.json").route(web::get().to(openapi::page)))
        .service(
            resource("/v1/jobs")
                .route(web::get().to(jobs::list))
                .route(web::post().to(jobs::submit)),
        )
        .service(resource("/v1/sql").route(web::post().to(sql::run)))
        .service(
            resource("/v1/jobs/{job}")
                .route(web::get().to(jobs::show))
                .route(web::delete().to(jobs::cancel)),
        )
        .service(resource("/v1/jobs/{job}/events").route(web::get().to(events::stream)))
        .service(resource("/v1/jobs/{job}/layers").route(web::get().to(layers::show)))
        .service(resource("/v1/jobs/{job}/graph").route(web::get().to(layers::tasks)))
        .service(resource("/v1/jobs/{job}/report").route(web::get().to(report::show)))
        .service(resource("/v1/jobs/{job}/release").route(web::post().to(give_up::release)))
        .service(resource("/v1/jobs/{job}/cancel").route(web::post().to(give_up::cancel)))
        .service(resource("/v1/jobs/{job}/retry").route(web::post().to(retry::submit)))
        .service(resource("/v1/jobs/{job}/tasks").route(web::get().to(tasks::list)))
        .service(resource("/v1/jobs/{job}/states").route(web::get().to(outputs::states)))
        .service(resource("/v1/jobs/{job}/results").route(web::get().to(outputs::list)))
        // Keys may contain slashes.
        .service(resource("/v1/jobs/{job}/tasks/{key:.+}").route(web::get().to(tasks::show)))
        .service(resource("/v1/jobs/{job}/results/{key:.+}").route(web::get().to(results::fetch)))
        .service(
            resource("/v1/sessions/{session}")
                .route(web::put().to(sessions::renew))
                .route(web::delete().to(sessions::end)),
        )
        .configure(configure_shared)
        .service(
            resource("/v1/uploads/{upload}")
                .route(web::put().to(uploads::put))
                .route(web::delete().to(uploads::remove)),
        )
        .service(
            resource("/v1/workers")
                .route(web::get().to(workers::list))
                .route(web::post().to(workers::add)),
        )
        .service(resource("/v1/workers/{worker}").route(web::get().to(workers::show)))
        .service(resource("/v1/stacks").route(web::get().to(stacks::list)))
        .service(resource("/v1/workers/{worker}/drain").route(web::post().to(workers::drain)))
        .configure(configure_dashboard)
        .default_service(web::to(unknown));
}

fn configure_shared(config: &mut web::ServiceConfig) {
    use shared::{cells, queues, semaphores};
    config
        .service(resource("/v1/cells").route(web::get().to(cells::list)))
        .service(
            resource("/v1/cells/{name}")
                .route(web::get().to(cells::show))
                .route(web::put().to(cells::put))
                .route(web::delete().to(cells::remove)),
        )
        .service(resource("/v1/queues").route(web::get().to(queues::list)))
        .service(
            resource("/v1/queues/{name}")
                .route(web::get().to(queues::show))
                .route(web::post().to(queues::push))
                .route(web::delete().to(queues::remove)),
        )
        .service(resource("/v1/queues/{name}/take").route(web::post().to(queues::take)))
        .service(resource("/v1/semaphores/{name}").route(web::get().to(semaphores::show)))
        .service(
            resource("/v1/semaphores/{name}/{ticket}")
                .route(web::put().to(semaphores::enter))
                .route(web::delete().to(semaphores::leave)),
        );
}

/// The dashboard, and what only it asks.
fn configure_dashboard(config: &mut web::ServiceConfig) {
    config
        .service(resource("/").route(web::get().to(signin::page)))
        .service(resource("/assets/{file}").route(web::get().to(assets::file)))
        .service(
            resource("/v1/sign-in")
                .route(web::post().to(signin::sign_in))
                .route(web::delete().to(signin::sign_out)),
        )
        .service(resource("/v1/sign-in/codes").route(web::post().to(signin::make_code)))
        .service(resource("/v1/system").route(web::get().to(system::show)))
        .service(resource("/v1/live").route(web::get().to(live::stream)))
        .service(resource("/v1/live/history").route(web::get().to(live::history)))
        .service(resource("/v1/live/workers").route(web::get().to(live::workers)))
        .service(resource("/v1/live/spans").route(web::get().to(live::spans)))
        .service(resource("/v1/live/operations").route(web::get().to(live::operations)))
        .service(resource("/v1/live/transfers").route(web::get().to(live::transfers)))
        .service(resource("/v1/live/lines").route(web::get().to(live::lines)));
}

fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(wrong_method))
}

async fn unknown(request: HttpRequest) -> Result<&'static str, ApiError> {
    Err(ApiError::UnknownPath(request.path().to_owned()))
}

async fn wrong_method(request: HttpRequest) -> Result<&'static str, ApiError> {
    Err(ApiError::WrongMethod {
        method: request.method().to_string(),
        path: request.path().to_owned(),
    })
}
