//! The operations on what clients and tasks coordinate with.

use serde_json::{Map, Value, json};

use super::operations::{json_answer, operation, path_param, query_param};

/// The cell, queue, semaphore and ticket of the examples.
const EXAMPLE: &str = "example";
const EXAMPLE_TICKET: &str = "1f0e7a52-9c1d-4b63-8f25-6f0c2f9f1f11";

/// Requests of the examples, which may be repeated.
const EXAMPLE_PUSH: &str = "7d1b2a64-52a5-4d0b-b1f5-0a4b0f1c9a02";
const EXAMPLE_TAKE: &str = "c2a9a8f0-6f65-4d1a-9a4e-3b4b7c1d2e03";

pub(super) fn paths() -> Map<String, Value> {
    let paths = json!({
        "/v1/cells": {"get": operation("listCells", "Names of cells.", json!([prefix_param()]),
            json_answer("200", "The names, in order.", None))},
        "/v1/cells/{name}": {"get": show_cell(), "put": put_cell(), "delete": remove_cell()},
        "/v1/queues": {"get": operation("listQueues", "Names of queues.", json!([prefix_param()]),
            json_answer("200", "The names, in order.", None))},
        "/v1/queues/{name}": {"get": show_queue(), "post": push(), "delete": operation("removeQueue",
            "Removes a queue and what is in it.", json!([name_param()]),
            json!({"204": {"description": "It is gone."}}))},
        "/v1/queues/{name}/take": {"post": take()},
        "/v1/semaphores/{name}": {"get": operation("showSemaphore", "How many hold a semaphore and wait for it.",
            json!([name_param()]), json_answer("200", "The counts `held` and `waiting`.", None))},
        "/v1/semaphores/{name}/{ticket}": {"put": enter(), "delete": operation("leaveSemaphore",
            "Gives a place up, held or waited for; the next in line holds at once.",
            json!([name_param(), ticket_param()]), json!({"204": {"description": "There is no such place now."}}))},
    });
    match paths {
        Value::Object(paths) => paths,
        _ => Map::new(),
    }
}

fn show_cell() -> Value {
    let mut operation = operation(
        "showCell",
        "A cell: a small value with a version, which is in `ETag`, too.",
        json!([
            name_param(),
            query_param("after", "The version seen last: waits for another one.", None),
            wait_param("How long to wait for the cell, or for another version of it, such as `10s`."),
        ]),
        json_answer("200", "`name`, `version` and `value`.", None),
    );
    operation["responses"]["204"] = json!({"description": "There is no such cell."});
    operation["responses"]["304"] = json!({"description": "It still has the version `after`."});
    operation
}

fn put_cell() -> Value {
    let mut operation = operation(
        "putCell",
        "Writes a cell. It is forgotten after `ttl`, a week by default.",
        json!([
            name_param(),
            header_param("If-Match", "Writes only if the cell has this version; else 412."),
            header_param(
                "If-None-Match",
                "`*`: writes only if the cell is not there; else 412."
            ),
        ]),
        json_answer("200", "`name` and the new `version`.", None),
    );
    operation["requestBody"] = body(json!({"value": {"epoch": 3}, "ttl": "1h"}));
    operation
}

fn remove_cell() -> Value {
    operation(
        "removeCell",
        "Removes a cell.",
        json!([
            name_param(),
            header_param("If-Match", "Removes only if the cell has this version; else 412.")
        ]),
        json_answer("200", "Whether there was one that is `removed`.", None),
    )
}

fn show_queue() -> Value {
    operation(
        "showQueue",
        "Looks at items of a queue without taking them.",
        json!([
            name_param(),
            query_param("from", "The first item's number.", Some("0")),
            query_param("limit", "Items at most; up to 100.", Some("10")),
        ]),
        json_answer("200", "`length`, and some `items`, oldest first.", None),
    )
}

fn push() -> Value {
    let mut operation = operation(
        "pushItems",
        "Adds items to a queue, all or nothing. The same `id` again adds nothing.",
        json!([
            name_param(),
            wait_param("How long to wait for room, if the queue holds `limit` items."),
        ]),
        json_answer("200", "The queue's `length`.", None),
    );
    operation["requestBody"] = body(
        json!({"id": EXAMPLE_PUSH, "items": ["first", {"second": 2}], "limit": 100,
        "drop_oldest": false}),
    );
    operation
}

fn take() -> Value {
    let mut operation = operation(
        "takeItems",
        "Takes the oldest items of a queue. The same `id` again gets the same items.",
        json!([name_param(), wait_param("How long to wait for the first item.")]),
        json_answer("200", "The `items`; none if none came in time.", None),
    );
    operation["requestBody"] = body(json!({"id": EXAMPLE_TAKE, "count": 1}));
    operation
}

fn enter() -> Value {
    let mut operation = operation(
        "enterSemaphore",
        "Joins the line for a semaphore, or renews a place in it: the first `limit` tickets hold it, in the order of \
         arrival. A place that is not renewed within `ttl` is lost, whether it is held or waited for.",
        json!([
            name_param(),
            ticket_param(),
            wait_param("How long to wait until it is held."),
        ]),
        json_answer("200", "Whether it is `held`, and how many are `ahead`.", None),
    );
    operation["requestBody"] = body(json!({"limit": 2, "ttl": "30s"}));
    operation
}

fn body(example: Value) -> Value {
    json!({"required": true, "content": {
        "application/json": {"schema": {"type": "object"}, "examples": {"first": {"value": example}}},
        "application/vnd.msgpack": {"schema": {"type": "object"}}
    }})
}

fn name_param() -> Value {
    path_param("name", "Its name, up to 300 bytes.", EXAMPLE)
}

fn ticket_param() -> Value {
    path_param("ticket", "Names the holder; made by the client.", EXAMPLE_TICKET)
}

fn prefix_param() -> Value {
    query_param("prefix", "What the names begin with.", Some("ex"))
}

fn wait_param(description: &str) -> Value {
    query_param("wait", description, None)
}

fn header_param(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
}
