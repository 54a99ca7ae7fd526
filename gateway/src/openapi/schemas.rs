//! The shapes of bodies and answers.

use serde_json::{Map, Value, json};

pub(super) fn schemas() -> Value {
    let mut all = Map::new();
    for (name, schema) in requests().into_iter().chain(answers()) {
        all.insert(name.to_owned(), schema);
    }
    Value::Object(all)
}

fn requests() -> [(&'static str, Value); 5] {
    [
        (
            "JobRequest",
            object(
                &["tasks"],
                json!({
                    "id": {"type": "string", "format": "uuid", "description": "Made by the client, so that a repeat is recognised."},
                    "name": text("What the job is called in lists."),
                    "labels": map_of("string"),
                    "env": {"type": "object", "properties": {"env_vars": map_of("string")}},
                    "tasks": list_of("TaskRequest"),
                    "outputs": {"type": "array", "items": {"type": "string"},
                        "description": "Keys of wanted results; those that no other task reads if absent."},
                    "options": {"type": "object", "properties": {
                        "priority": {"type": "integer"}, "deadline": span(), "result_ttl": span(), "tenant": {"type": "string"},
                        "session": text("A client's session that the job ends with.")
                    }}
                }),
            ),
        ),
        (
            "TaskRequest",
            object(
                &["key", "op"],
                json!({
                    "key": text("The task's name in the job."),
                    "op": {"enum": ["command", "native", "sql"]},
                    "argv": {"type": "array", "items": argument(), "description": "A command's program and arguments; a \
                        task stands for the path of a file with its output."},
                    "function": text("A native function's name."),
                    "args": {"type": "array", "items": argument()},
                    "stdin": task_reference(),
                    "files_in": {"type": "object", "additionalProperties": argument()},
                    "files_out": {"type": "array", "items": {"type": "string"}},
                    "env": {"type": "object", "properties": {"env_vars": map_of("string")}},
                    "query": text("A query."),
                    "tables": tables(),
                    "deps": {"type": "array", "items": {"type": "string"}},
                    "resources": map_of("number"),
                    "retries": {"type": "integer", "minimum": 0},
                    "backoff": {"type": "object"},
                    "timeout": span(),
                    "priority": {"type": "integer"},
                    "workers": {"type": "array", "items": {"type": "string"}},
                    "rerun": {"enum": ["always", "never"]}
                }),
            ),
        ),
        (
            "SqlRequest",
            object(
                &[],
                json!({
                    "query": text("One statement, or several with semicolons between them; absent if there is a tree."),
                    "session": text("Whose tables and views the query sees and changes: a client session, or any name."),
                    "tree": {"type": "object", "description": "An expression tree in place of a statement, as \
                        docs/reference/expression-trees.md describes it."},
                    "tables": tables(),
                    "params": {"type": "array", "description": "Values of `$1`, `$2`, …"},
                    "options": {"type": "object", "properties": {
                        "partitions": {"type": "integer"},
                        "format": {"enum": ["json", "json_lines", "csv", "table", "arrow", "parquet"]},
                        "explain": {"type": "boolean", "description": "Whether the stages are wanted instead of the rows."}
                    }},
                    "into": write_target()
                }),
            ),
        ),
        (
            "KeysRequest",
            object(
                &["keys"],
                json!({"keys": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100_000,
                    "description": "Keys of tasks of the job."}}),
            ),
        ),
        (
            "Problem",
            object(
                &["type", "title", "status", "code", "detail"],
                json!({
                    "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                    "code": text("Stable, for programs."),
                    "detail": {"type": "string"}, "hint": text("What to do."),
                    "job": {"type": "string"}, "key": {"type": "string"}, "op": {"type": "string"},
                    "field": {"type": "string"}, "file": {"type": "string"},
                    "line": {"type": "integer"}, "column": {"type": "integer"},
                    "suggestion": text("What was probably meant."),
                    "keys": {"type": "array", "items": {"type": "string"}},
                    "task_error": {"type": "object"}
                }),
            ),
        ),
    ]
}

fn answers() -> [(&'static str, Value); 9] {
    [
        (
            "Changed",
            object(
                &["tasks"],
                json!({"tasks": {"type": "integer", "description": "How many tasks the request changed."}}),
            ),
        ),
        (
            "Session",
            object(
                &["id", "ttl"],
                json!({"id": {"type": "string", "format": "uuid"}, "ttl": span()}),
            ),
        ),
        (
            "Job",
            object(
                &["id", "state", "links"],
                json!({
                    "id": {"type": "string", "format": "uuid"},
                    "name": {"type": "string"},
                    "state": {"enum": ["accepted", "running", "succeeded", "recovering", "failed", "cancelling", "cancelled"]},
                    "accepted_ms": {"type": "integer"}, "ended_ms": {"type": "integer"},
                    "tasks": map_of("integer"),
                    "error": {"type": "object"}, "failed_task": {"type": "string"},
                    "priority": {"type": "integer"}, "labels": map_of("string"),
                    "results": {"type": "array", "items": object(&["key", "link"], json!({
                        "key": {"type": "string"}, "value": {}, "link": {"type": "string"}
                    }))},
                    "links": map_of("string")
                }),
            ),
        ),
        (
            "JobsPage",
            object(
                &["jobs"],
                json!({"jobs": list_of("Job"), "next": {"type": "string"}}),
            ),
        ),
        (
            "Task",
            object(
                &["key", "state"],
                json!({
                    "task": {"type": "integer"}, "key": {"type": "string"}, "op": {"type": "string"},
                    "state": {"type": "string"}, "attempts": {"type": "integer"}, "failures": {"type": "integer"},
                    "workers": {"type": "array", "items": {"type": "string"}}, "bytes": {"type": "integer"},
                    "deps": {"type": "array", "items": {"type": "string"}}, "error": {"type": "object"},
                    "explain": {"type": "array", "items": {"type": "string"}},
                    "story": {"type": "array", "items": {"type": "object"}},
                    "logs": {"type": "array", "items": {"type": "object"}}
                }),
            ),
        ),
        (
            "TasksPage",
            object(
                &["tasks"],
                json!({"tasks": list_of("Task"), "next": {"type": "integer"}}),
            ),
        ),
        (
            "Worker",
            object(
                &["id", "name", "state"],
                json!({
                    "id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}, "host": {"type": "string"},
                    "state": {"enum": ["active", "suspect", "paused", "draining"]},
                    "slots": {"type": "integer"}, "memory_limit": {"type": "integer"}, "resources": map_of("number"),
                    "version": {"type": "string"}, "data_address": {"type": "string"},
                    "assigned": {"type": "integer"}, "executing": {"type": "integer"}, "objects": {"type": "integer"},
                    "silent_ms": {"type": "integer"}, "load": {"type": "object"}
                }),
            ),
        ),
        (
            "StacksPage",
            object(
                &["stacks", "unreachable"],
                json!({
                    "stacks": {"type": "array", "items": {"type": "object", "properties": {
                        "worker": {"type": "string"}, "job": {"type": "string", "format": "uuid"},
                        "task": {"type": "integer"}, "key": {"type": "string"}, "text": {"type": "string"}
                    }}},
                    "unreachable": {"type": "array", "items": {"type": "string"}}
                }),
            ),
        ),
        (
            "WorkersPage",
            object(&["workers"], json!({"workers": list_of("Worker")})),
        ),
    ]
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn map_of(kind: &str) -> Value {
    json!({"type": "object", "additionalProperties": {"type": kind}})
}

fn list_of(schema: &str) -> Value {
    json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{schema}")}})
}

fn span() -> Value {
    json!({"type": ["string", "number"], "description": "A duration such as `30s`, or seconds."})
}

fn task_reference() -> Value {
    object(
        &["task"],
        json!({"task": {"type": "string"}, "file": {"type": "string"}, "job": {"type": "string", "format": "uuid"}}),
    )
}

fn argument() -> Value {
    json!({"description": "`{\"task\": KEY}` is that task's output, `{\"job\": ID, \"task\": KEY}` \
        that of another job's task, which stays where it is; anything else stands for itself, and \
        `{\"literal\": …}` for what is in it."})
}

fn tables() -> Value {
    json!({"type": "object", "additionalProperties": {"description": "A path, a list of paths, or an object with \
        `paths`, `format` (`csv`, `json`, `arrow` or `parquet`), `csv` and `json`."}})
}

/// Where the rows of a query are written to.
fn write_target() -> Value {
    let mut target = object(
        &["path"],
        json!({
            "path": text("A file, if its name ends like one of a format, else a folder."),
            "format": {"enum": ["parquet", "csv", "json", "arrow"]},
            "partition_by": {"type": "array", "items": {"type": "string"},
                "description": "Columns whose values name folders (`year=2024`)."},
            "mode": {"enum": ["error", "append", "overwrite"],
                "description": "What happens to data that is there. If absent, a file is replaced, and a folder must be empty."},
            "compression": {"enum": ["none", "gzip", "snappy", "lz4", "zstd"]},
            "header": {"type": "boolean", "description": "Whether CSV files begin with the names of the columns."},
            "delimiter": {"type": "string", "minLength": 1, "maxLength": 1}
        }),
    );
    target["description"] = json!("Where the rows are written to; the result is then their number.");
    target
}
