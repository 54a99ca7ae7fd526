//! Tasks whose output is a value that a client left on this worker.

use std::io;

use millstream_executor::{TaskContext, TaskFailure, TaskResult, value_of_file};
use millstream_protocol::args::{Arg, NativeArgs};
use millstream_protocol::{ErrorKind, codec};
use millstream_transfer::UploadShelf;
use uuid::Uuid;

/// The function that reads an upload. Its argument is the upload's id.
const UPLOAD: &str = "millstream:upload";

/// Runs a task that reads an upload; none if it is another task.
pub(crate) fn read(shelf: Option<&UploadShelf>, task: &TaskContext) -> Option<TaskResult> {
    (task.op.name == UPLOAD).then(|| {
        let id = id_of(task)?;
        let Some(shelf) = shelf else {
            return Err(lost(id));
        };
        let (file, size) = match shelf.open_file(id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost(id)),
            found => found.map_err(|error| unreadable(id, &error))?,
        };
        value_of_file(file, size).map_err(|error| unreadable(id, &error))
    })
}

fn id_of(task: &TaskContext) -> Result<Uuid, TaskFailure> {
    let wrong = |reason: String| {
        TaskFailure::new(
            ErrorKind::BadInput,
            format!("`{UPLOAD}` takes the id of an upload as text: {reason}"),
        )
    };
    let args = NativeArgs::from_params(&task.params).map_err(|error| wrong(error.to_string()))?;
    let [Arg::Literal(value)] = args.0.as_slice() else {
        return Err(wrong("one value is expected".to_owned()));
    };
    let text: String = codec::decode(value).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|_| wrong(format!("`{text}` is no UUID")))
}

fn lost(id: Uuid) -> TaskFailure {
    TaskFailure::new(
        ErrorKind::InputLost,
        format!("the uploaded value {id} is no longer on this worker: upload it again (`Client.retry` does)"),
    )
}

fn unreadable(id: Uuid, error: &io::Error) -> TaskFailure {
    TaskFailure::new(
        ErrorKind::Internal,
        format!("the uploaded value {id} cannot be read: {error}"),
    )
}
