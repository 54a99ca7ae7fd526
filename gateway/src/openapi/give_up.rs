//! What clients give up of a job that goes on.

use serde_json::{Value, json};

use super::operations::{job_param, json_body, operation};

/// Adds the operations to the others.
pub(super) fn add(paths: &mut Value) {
    paths["/v1/jobs/{job}/release"] = json!({"post": release_tasks()});
    paths["/v1/jobs/{job}/cancel"] = json!({"post": cancel_tasks()});
}

fn release_tasks() -> Value {
    about_tasks(
        "releaseTasks",
        "Says that nobody will ask for the outputs of these tasks any more: they are freed once no task needs them, and \
            what has not run and is needed by nothing else does not run. Answers 503 for a job that is only just accepted.",
        "Released; `tasks` of them had not been before.",
        // Not the task whose result and logs other examples ask for.
        &["words"],
    )
}

fn cancel_tasks() -> Value {
    about_tasks(
        "cancelTasks",
        "Cancels single tasks of a job, and those that read them; the job goes on with the others, and may succeed. What \
            is done stays as it is, and so does what another job imports. Answers 503 while a new leader does not know \
            yet what is done.",
        "Cancelled; `tasks` counts those that it stopped or kept from running.",
        &["count"],
    )
}

/// An operation on tasks that its body names.
fn about_tasks(id: &str, summary: &str, done: &str, example: &[&str]) -> Value {
    let mut operation = operation(
        id,
        summary,
        json!([job_param()]),
        json!({"200": json_body(done, "Changed")}),
    );
    let schema = json!({"schema": {"$ref": "#/components/schemas/KeysRequest"}});
    let mut json = schema.clone();
    json["examples"] = json!({"one": {"value": {"keys": example}}});
    operation["requestBody"] = json!({"required": true, "content": {
        "application/json": json, "application/vnd.msgpack": schema
    }});
    operation
}
