//! The operator that publishes the files of a result.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::asked::WriteFormat;
use super::part::Staged;
use crate::error::FrameError;

/// By how much the clocks of the planner and of a shared file system may differ.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// What the committing task is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitSpec {
    /// Folder of files that are not published yet.
    pub(super) staging: PathBuf,
    pub(super) place: Place,
    /// When the write was planned: no published file is older.
    pub(super) planned: SystemTime,
}

/// Where files go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// All rows are one file, which replaces one that is there.
    File(PathBuf),
    /// Files in a folder, and in folders below it.
    Folder {
        path: PathBuf,
        /// What sets the names of this write apart from those of others.
        write: String,
        /// What the files' names end with.
        extension: String,
        /// Whether data files that were there before are removed.
        replace: bool,
    },
}

/// Publishes the files that the rows of its child name.
#[derive(Debug)]
pub(crate) struct CommitExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<CommitSpec>,
    properties: Arc<PlanProperties>,
}

impl CommitExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, spec: CommitSpec) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            input,
            spec: Arc::new(spec),
            properties: Arc::new(properties),
        }
    }

    /// What travels to a worker.
    pub(crate) fn spec(&self) -> &CommitSpec {
        &self.spec
    }
}

impl DisplayAs for CommitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spec.place {
            Place::File(path) | Place::Folder { path, .. } => write!(f, "CommitExec: {}", path.display()),
        }
    }
}

impl ExecutionPlan for CommitExec {
    fn name(&self) -> &str {
        "CommitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, CommitSpec::clone(&self.spec)))),
            _ => internal_err!("CommitExec takes one child"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("CommitExec has no partition {partition}");
        }
        let input = self.input.execute(0, context)?;
        let spec = Arc::clone(&self.spec);
        let count = futures::stream::once(async move {
            let batches: Vec<RecordBatch> = input.try_collect().await?;
            let publish = move || {
                spec.publish(&staged_files(&batches))
                    .map_err(FrameError::into_engine)
            };
            let rows = tokio::task::spawn_blocking(publish)
                .await
                .map_err(|error| internal_datafusion_err!("{error}"))??;
            let count: ArrayRef = Arc::new(Int64Array::from(vec![rows]));
            Ok(RecordBatch::try_new(count_schema(), vec![count])?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), count)))
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, false)]))
}

fn staged_files(batches: &[RecordBatch]) -> Vec<Staged> {
    let files = batches.iter().flat_map(|batch| {
        let files = batch.column(0).as_string::<i32>();
        let folders = batch.column(1).as_string::<i32>();
        let rows = batch.column(2).as_primitive::<Int64Type>();
        let bytes = batch.column(3).as_primitive::<Int64Type>();
        (0..batch.num_rows()).map(|row| Staged {
            file: files.value(row).to_owned(),
            folder: folders.value(row).to_owned(),
            rows: rows.value(row),
            bytes: bytes.value(row),
        })
    });
    files.collect()
}

impl CommitSpec {
    /// Moves the files to their places, and gives the number of their rows.
    fn publish(&self, files: &[Staged]) -> Result<i64, FrameError> {
        let moves = self.moves(files);
        for (staged, to) in &moves {
            self.move_file(staged, to)?;
        }
        if let Place::Folder {
            path, replace: true, ..
        } = &self.place
        {
            let new: HashSet<&Path> = moves.iter().map(|(_, to)| to.as_path()).collect();
            remove_others(path, &new)?;
        }
        // What other attempts left. If it stays, nobody reads it: folders with such names are no data.
        let _ = fs::remove_dir_all(&self.staging);
        Ok(files.iter().map(|staged| staged.rows).sum())
    }

    /// From where to where. The same files get the same names whenever this is asked.
    fn moves<'a>(&self, files: &'a [Staged]) -> Vec<(&'a Staged, PathBuf)> {
        let has_rows = files.iter().any(|staged| staged.rows > 0);
        let published = files
            .iter()
            .filter(|staged| staged.rows > 0)
            // Without any rows one file is left to tell the columns.
            .chain(files.iter().take(usize::from(!has_rows)));
        let place = |(number, staged): (usize, &'a Staged)| {
            let to = match &self.place {
                Place::File(path) => path.clone(),
                Place::Folder {
                    path,
                    write,
                    extension,
                    ..
                } => path
                    .join(&staged.folder)
                    .join(format!("part-{number:05}-{write}.{extension}")),
            };
            (staged, to)
        };
        published.enumerate().map(place).collect()
    }

    /// Moves a file to its place, unless an attempt before did.
    fn move_file(&self, staged: &Staged, to: &Path) -> Result<(), FrameError> {
        let folder = to.parent().unwrap_or(Path::new("/"));
        let moved = fs::create_dir_all(folder).and_then(|()| fs::rename(self.staging.join(&staged.file), to));
        match moved {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.is_published(staged, to) {
                    return Ok(());
                }
                Err(FrameError::NotShared {
                    path: folder.to_owned(),
                })
            }
            Err(error) => Err(FrameError::unwritable(to, &error)),
        }
    }

    /// Whether the file in this place is the one that was staged, not one of before.
    fn is_published(&self, staged: &Staged, to: &Path) -> bool {
        let earliest = self.planned.checked_sub(CLOCK_SKEW);
        to.metadata().is_ok_and(|found| {
            let is_new = found
                .modified()
                .is_ok_and(|modified| earliest.is_none_or(|earliest| modified >= earliest));
            is_new && i64::try_from(found.len()) == Ok(staged.bytes)
        })
    }
}

/// Removes the data files below a folder that are not `new`, and folders that this leaves empty.
fn remove_others(folder: &Path, new: &HashSet<&Path>) -> Result<(), FrameError> {
    let failed = |error: io::Error| FrameError::unwritable(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_others(&path, new)?;
            // It stays if something is left in it.
            let _ = fs::remove_dir(&path);
        } else if WriteFormat::of(&path).is_some() && !new.contains(path.as_path()) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FrameError::unwritable(&path, &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether readers of a folder pass over an entry.
pub(super) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_none_or(|name| name.starts_with(['.', '_']))
}
