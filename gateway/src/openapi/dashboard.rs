//! The operations that the dashboard asks; programs may as well.

use serde_json::{Value, json};

use super::operations::{job_param, json_answer, json_body, operation, query_param};

/// Adds them to `paths`.
pub(super) fn add(paths: &mut Value) {
    let answer = |description: &str| json_answer("200", description, None);
    paths["/v1/jobs/{job}/layers"] = json!({"get": operation("listLayers",
        "How far a job is, by operation and layer, and its largest objects.", json!([job_param()]),
        answer("Layers, the edges between them, objects."))});
    paths["/v1/jobs/{job}/graph"] = json!({"get": operation("listGraph",
        "Tasks with the numbers of their inputs.",
        json!([job_param(), query_param("from", "The first task's number.", Some("0")),
            query_param("limit", "Tasks on the page, at most 2000.", Some("10"))]),
        answer("A page of tasks."))});
    paths["/v1/jobs/{job}/report"] = json!({"get": operation("showReport",
        "What the job did, on one page that needs no cluster to be read: findings, layers, what ran where and when, \
        memory, events.", json!([job_param()]),
        json!({"200": {"description": "A page.", "content": {"text/html": {}}}}))});
    paths["/v1/jobs/{job}/retry"] = json!({"post": operation("retryJob",
        "Submits the graph of a job again, as a new job.", json!([job_param()]),
        json!({"202": json_body("The new job.", "Job")}))});
    paths["/v1/sign-in/codes"] = json!({"post": operation("makeSignInCode",
        "Makes a code that signs one browser in, once, within an hour.", json!([]),
        answer("The code, and the dashboard's link with it."))});
    paths["/v1/system"] = json!({"get": operation("showSystem",
        "Scheduler, broker and state store as this gateway sees them.", json!([]), answer("How they are."))});
    paths["/v1/live"] = json!({"get": live()});
    paths["/v1/live/history"] = json!({"get": operation("listHistory",
        "The cluster's numbers: the last hour by the second, or the last day by the minute.",
        json!([query_param("span", "`hour` or `day`.", Some("hour"))]), answer("Points in time."))});
    paths["/v1/live/workers"] = json!({"get": operation("listWorkerNumbers",
        "All workers and their numbers, in columns.", json!([]), answer("A table and its numbers."))});
    paths["/v1/live/spans"] = json!({"get": spans()});
    paths["/v1/live/operations"] = json!({"get": operation("listOperations",
        "What each operation of each job took, since the gateway began.",
        json!([query_param("job", "Only this job.", None)]), answer("Operations."))});
    paths["/v1/live/transfers"] = json!({"get": operation("listTransfers",
        "What workers fetched from each other, since the gateway began.", json!([]), answer("Pairs of workers."))});
    paths["/v1/live/lines"] = json!({"get": lines()});
}

fn live() -> Value {
    operation(
        "streamLive",
        "The cluster's numbers each second, as server-sent events; resumes after `Last-Event-ID`.",
        json!([
            query_param(
                "topics",
                "A list of `cluster`, `jobs` and `workers`.",
                Some("cluster,jobs")
            ),
            query_param("every", "Time between two updates, such as `5s`.", None),
            query_param(
                "points",
                "Seconds of history to begin with, at most 3600.",
                Some("10")
            ),
            query_param(
                "pulses",
                "Updates until the stream ends; for ever if absent.",
                Some("1")
            ),
        ]),
        json!({"200": {"description": "Events `history`, `cluster`, `jobs`, `table`, `workers`.",
            "content": {"text/event-stream": {}}}}),
    )
}

fn spans() -> Value {
    operation(
        "listSpans",
        "What filled the slots of workers in a window of time, at the detail of a screen.",
        json!([
            query_param(
                "from_ms",
                "Unix milliseconds; a minute before the end if absent.",
                None
            ),
            query_param("to_ms", "Unix milliseconds; now if absent.", None),
            query_param("width", "Columns of the screen.", Some("1000")),
            query_param("workers", "Ids of workers, with commas; at most 256.", None),
            query_param("job", "Only this job.", None),
        ]),
        json_answer("200", "Blocks, in columns.", None),
    )
}

fn lines() -> Value {
    operation(
        "listLines",
        "The last lines: what happened to jobs, and the ends of what tasks wrote.",
        json!([
            query_param("after", "Only lines after this one.", None),
            query_param("q", "Only lines that contain this.", None),
            query_param("job", "Only lines of this job.", None),
            query_param("task", "Only lines of the task with this key.", None),
            query_param("worker", "Only lines of the worker with this name.", None),
            query_param(
                "level",
                "`output`, `info`, `warn` or `error`, and what is worse.",
                Some("info")
            ),
            query_param("limit", "Lines, at most 5000.", Some("10")),
        ]),
        json_answer("200", "Lines, oldest first.", None),
    )
}
