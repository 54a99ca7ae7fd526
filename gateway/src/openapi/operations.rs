//! The operations, one function each.

use serde_json::{Value, json};

use super::{EXAMPLE_JOB, EXAMPLE_SESSION, EXAMPLE_UPLOAD};

pub(super) fn paths(worker: &str) -> Value {
    json!({
        "/healthz": {"get": open_probe("The process answers.")},
        "/readyz": {"get": open_probe("Broker, state store and a leading scheduler can be reached.")},
        "/metrics": {"get": operation("metrics", "Metrics in the format of OpenMetrics.", json!([]),
            json!({"200": {"description": "Metrics.", "content": {"application/openmetrics-text": {}}}}))},
        "/openapi.json": {"get": operation("openapi", "This page.", json!([]), json_answer("200", "This page.", None))},
        "/v1/jobs": {"get": list_jobs(), "post": submit()},
        "/v1/jobs/{job}": {"get": show_job(), "delete": cancel_job()},
        "/v1/jobs/{job}/events": {"get": events()},
        "/v1/jobs/{job}/tasks": {"get": list_tasks()},
        "/v1/jobs/{job}/tasks/{key}": {"get": show_task()},
        "/v1/jobs/{job}/states": {"get": states()},
        "/v1/jobs/{job}/results": {"get": results()},
        "/v1/jobs/{job}/results/{key}": {"get": result()},
        "/v1/sql": {"post": sql()},
        "/v1/sessions/{session}": {"put": renew_session(), "delete": end_session()},
        "/v1/uploads/{upload}": {"put": put_upload(), "delete": remove_upload()},
        "/v1/workers": {"get": operation("listWorkers", "All workers.", json!([]),
            json_answer("200", "The workers, by name.", Some("WorkersPage")))},
        "/v1/workers/{worker}": {"get": operation("showWorker", "One worker.", json!([worker_param(worker)]),
            json_answer("200", "The worker.", Some("Worker")))},
        "/v1/stacks": {"get": operation("listStacks", "What running Python tasks execute at this moment.", json!([]),
            json_answer("200", "The frames of each task.", Some("StacksPage")))},
        "/v1/workers/{worker}/drain": {"post": operation("drainWorker",
            "Lets a worker finish what it runs, hand over its results and leave.", json!([worker_param(worker)]),
            json_answer("202", "The worker, draining.", Some("Worker")))},
    })
}

/// Only of a gateway that can start workers.
pub(super) fn add_workers() -> Value {
    let mut operation = operation(
        "addWorkers",
        "Starts workers. Only `millstream up` can; elsewhere they are started where the others are.",
        json!([]),
        json_answer("202", "The names of the new `workers`.", None),
    );
    operation["requestBody"] = json!({"required": true, "content": {"application/json": {
        "examples": {"one": {"value": {"count": 1}}}
    }}});
    operation
}

fn put_upload() -> Value {
    let mut operation = operation(
        "putUpload",
        "Leaves a value on two workers, for tasks of the native function `millstream:upload` to read, whose \
            argument is its id. It is kept for a day unless it is removed.",
        json!([upload_param()]),
        json_answer(
            "200",
            "`id`, `length`, `crc32` and the ids of the `workers` that have it.",
            None,
        ),
    );
    operation["requestBody"] = json!({"required": true, "content": {
        "application/vnd.millstream.pickle": {"schema": {"type": "string", "format": "binary"}}
    }});
    operation
}

fn remove_upload() -> Value {
    operation(
        "removeUpload",
        "Removes an uploaded value from the workers. Tasks that have read it keep their outputs.",
        json!([upload_param()]),
        json!({"204": {"description": "No worker that answers has it."}}),
    )
}

fn upload_param() -> Value {
    path_param("upload", "The upload's id, made by the client.", EXAMPLE_UPLOAD)
}

fn submit() -> Value {
    let mut operation = operation(
        "submitJob",
        "Submits a job. The same id and body again are the same job; the same id with another body is refused.",
        json!([wait_param()]),
        json!({
            "200": json_body("The job ended within `wait`; small results are in `results`.", "Job"),
            "202": json_body("The job is accepted and will survive any failure of one machine.", "Job"),
        }),
    );
    operation["requestBody"] = json!({"required": true, "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/JobRequest"},
            "examples": {
                "commands": {"summary": "Two commands", "value": {
                    "id": EXAMPLE_JOB,
                    "tasks": [
                        {"key": "words", "op": "command", "argv": ["echo", "to be or not to be"]},
                        {"key": "count", "op": "command", "argv": ["wc", "-w"], "stdin": {"task": "words"}}
                    ],
                    "outputs": ["words", "count"]
                }},
                "native": {"summary": "A function of the workers' program", "value": {
                    "tasks": [{"key": "sum", "op": "native", "function": "my:add", "args": [1, 2]}]
                }}
            }
        },
        "application/vnd.msgpack": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
        "application/vnd.millstream.graph+msgpack": {
            "schema": {"description": "A columnar graph, as the SDKs send it.", "type": "string", "format": "binary"}
        }
    }});
    operation
}

fn list_jobs() -> Value {
    operation(
        "listJobs",
        "Jobs, newest first.",
        json!([
            query_param("before", "The `next` of the page before.", None),
            query_param("limit", "Jobs on the page, at most 1000.", Some("10")),
        ]),
        json_answer("200", "A page of jobs.", Some("JobsPage")),
    )
}

fn show_job() -> Value {
    operation(
        "showJob",
        "One job.",
        json!([job_param(), wait_param()]),
        json_answer("200", "The job.", Some("Job")),
    )
}

fn cancel_job() -> Value {
    operation(
        "cancelJob",
        "Stops a job; with `remove=true` forgets one that is over, and its results.",
        json!([
            job_param(),
            // No example: whoever runs the examples one after the other asks for the same job later on.
            query_param("remove", "`true` to forget the job.", None)
        ]),
        json!({
            "200": json_body("The job, which is over.", "Job"),
            "202": json_body("The job, which is being stopped.", "Job"),
        }),
    )
}

fn events() -> Value {
    operation(
        "jobEvents",
        "What happens to a job, as server-sent events; resumes after `Last-Event-ID` and ends with the job.",
        json!([
            job_param(),
            query_param("after", "The id of the last event seen.", None)
        ]),
        json!({
            "200": {"description": "Events.", "content": {"text/event-stream": {}}},
            "204": {"description": "The job is over and all its events have been seen."},
        }),
    )
}

fn list_tasks() -> Value {
    operation(
        "listTasks",
        "Tasks of a job.",
        json!([
            job_param(),
            query_param("state", "Only tasks in this state.", Some("stored")),
            query_param("from", "The first task's number.", Some("0")),
            query_param("limit", "Tasks on the page, at most 1000.", Some("100")),
        ]),
        json_answer("200", "A page of tasks.", Some("TasksPage")),
    )
}

fn show_task() -> Value {
    operation(
        "showTask",
        "One task: its state and story, its logs, and why it is where it is.",
        json!([job_param(), key_param()]),
        json_answer("200", "The task.", Some("Task")),
    )
}

fn states() -> Value {
    operation(
        "taskStates",
        "The journal's state of every task, a byte each: 0 pending, 1 stored, 2 released, 3 failed, 4 cancelled. \
         The header `millstream-job-state` tells the job's.",
        json!([job_param()]),
        json!({"200": {"description": "The bytes.", "content": {"application/octet-stream": {}}}}),
    )
}

fn results() -> Value {
    operation(
        "listResults",
        "All wanted results in packed columns, with the values of small ones; for the SDKs.",
        json!([job_param()]),
        json!({"200": {"description": "The columns.", "content": {"application/vnd.msgpack": {}}}}),
    )
}

fn result() -> Value {
    operation(
        "getResult",
        "A wanted result, streamed: a function's value as JSON (or MessagePack, if accepted), else bytes.",
        json!([
            job_param(),
            key_param(),
            wait_param(),
            query_param("file", "One of a command's `files_out`.", None)
        ]),
        json!({
            "200": {"description": "The result.", "content": {
                "application/json": {}, "application/octet-stream": {}, "application/vnd.msgpack": {},
                "text/csv": {}, "application/vnd.apache.arrow.stream": {}, "application/vnd.apache.parquet": {}
            }},
            "202": json_body("It is being made, or made again; `Retry-After` says when to ask.", "Job"),
        }),
    )
}

fn sql() -> Value {
    let mut operation = operation(
        "sql",
        "Runs a query and streams its rows in the format that `Accept` names.",
        json!([
            wait_param(),
            query_param("id", "An id for the query's job.", None)
        ]),
        json!({
            "200": {"description": "The rows.", "content": {
                "application/json": {}, "application/x-ndjson": {}, "text/csv": {}, "text/plain": {},
                "application/vnd.apache.arrow.stream": {}, "application/vnd.apache.parquet": {}
            }},
            "202": json_body("It takes longer than `wait`: the job that makes the rows.", "Job"),
        }),
    );
    operation["requestBody"] = json!({"required": true, "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/SqlRequest"},
            "examples": {
                "constant": {"summary": "No table", "value": {"query": "SELECT 1 + 1 AS two"}},
                "files": {"summary": "Files of the cluster", "value": {
                    "query": "SELECT origin, count(*) FROM flights WHERE dep_delay > $1 GROUP BY origin",
                    "tables": {"flights": "/data/flights/*.csv"},
                    "params": [60]
                }}
            }
        },
        "application/vnd.msgpack": {"schema": {"$ref": "#/components/schemas/SqlRequest"}}
    }});
    operation
}

fn renew_session() -> Value {
    operation(
        "renewSession",
        "Opens a client's session or renews it; jobs submitted with `options.session` end with it.",
        json!([session_param()]),
        json_answer("200", "How long it lasts.", Some("Session")),
    )
}

fn end_session() -> Value {
    operation(
        "endSession",
        "Ends a client's session: jobs attached to it are cancelled, and their results let go.",
        json!([session_param()]),
        json!({"204": {"description": "It is over."}}),
    )
}

fn session_param() -> Value {
    path_param("session", "A UUID made by the client.", EXAMPLE_SESSION)
}

fn open_probe(summary: &str) -> Value {
    let mut probe = operation(
        "",
        summary,
        json!([]),
        json!({
            "200": {"description": "Yes.", "content": {"application/json": {}}},
            "503": {"description": "No.", "content": {"application/json": {}}},
        }),
    );
    probe["security"] = json!([]);
    if let Some(fields) = probe.as_object_mut() {
        fields.remove("operationId");
    }
    probe
}

pub(super) fn operation(id: &str, summary: &str, parameters: Value, mut responses: Value) -> Value {
    responses["default"] = json!({"$ref": "#/components/responses/Problem"});
    json!({"operationId": id, "summary": summary, "parameters": parameters, "responses": responses})
}

pub(super) fn json_answer(status: &str, description: &str, schema: Option<&str>) -> Value {
    let body = match schema {
        Some(schema) => json_body(description, schema),
        None => json!({"description": description, "content": {"application/json": {}}}),
    };
    json!({status: body})
}

pub(super) fn json_body(description: &str, schema: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

pub(super) fn query_param(name: &str, description: &str, example: Option<&str>) -> Value {
    let mut param =
        json!({"name": name, "in": "query", "description": description, "schema": {"type": "string"}});
    if let Some(example) = example {
        param["example"] = json!(example);
    }
    param
}

pub(super) fn path_param(name: &str, description: &str, example: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": description,
        "schema": {"type": "string"}, "example": example})
}

fn wait_param() -> Value {
    query_param(
        "wait",
        "How long to wait for the end, such as `10s`; at most `gateway.max_wait`.",
        Some("10s"),
    )
}

pub(super) fn job_param() -> Value {
    path_param("job", "The job's id.", EXAMPLE_JOB)
}

fn key_param() -> Value {
    path_param("key", "The task's key, or its number.", "count")
}

fn worker_param(worker: &str) -> Value {
    path_param(
        "worker",
        "The worker's id, or its name if no other has it.",
        worker,
    )
}
