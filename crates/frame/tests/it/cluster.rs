//! An executor of planned queries that stands for a cluster: nothing passes between tasks but bytes.

use std::path::Path;

use millstream_frame::arrow::array::{Array, RecordBatch};
use millstream_frame::arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_frame::{
    EncodedObject, FrameError, PlannedQuery, PlannerOptions, SqlRequest, StageData, StageEnv, StageInput,
    StageLimits, TableSource, plan_sql, run_stage,
};

/// The rows of a result, as text, with `None` for NULL.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// Options under which every query is cut, however small its tables are.
pub(crate) fn distributed(partitions: usize) -> PlannerOptions {
    PlannerOptions {
        target_partitions: partitions,
        small_query_bytes: 0,
        min_split_bytes: 1,
        ..PlannerOptions::default()
    }
}

/// A query over tables given as name and path.
pub(crate) fn request(query: &str, tables: &[(&str, &Path)]) -> SqlRequest {
    let source = |path: &Path| TableSource::path(path.display().to_string());
    SqlRequest {
        query: query.to_owned(),
        tables: tables
            .iter()
            .map(|(name, path)| ((*name).to_owned(), source(path)))
            .collect(),
        ..SqlRequest::default()
    }
}

pub(crate) async fn run(
    request: &SqlRequest,
    options: &PlannerOptions,
) -> Result<Vec<RecordBatch>, FrameError> {
    run_planned(&plan_sql(request, options).await?).await
}

/// Runs every stage, and every task twice: a task that is run again must leave the same bytes.
pub(crate) async fn run_planned(query: &PlannedQuery) -> Result<Vec<RecordBatch>, FrameError> {
    let env = StageEnv::new(&StageLimits::default()).unwrap();
    let mut objects: Vec<Vec<EncodedObject>> = Vec::new();
    let mut result = Vec::new();
    for stage in &query.stages {
        result.clear();
        let mut written = Vec::new();
        for task in &stage.tasks {
            let inputs: Vec<StageData> = task.inputs.iter().map(|input| read(&objects, *input)).collect();
            let output = run_stage(&task.plan, inputs.clone(), &env).await?;
            assert_eq!(output.parts.len(), stage.parts as usize);
            let object = output.encode().unwrap();
            if !stage.volatile {
                let again = run_stage(&task.plan, inputs, &env).await?.encode().unwrap();
                assert!(
                    object.bytes == again.bytes,
                    "another run differs:\n{}",
                    stage.display
                );
            }
            written.push(object);
            result.extend(output.parts.into_iter().flat_map(|part| part.batches));
        }
        objects.push(written);
    }
    Ok(result)
}

fn read(objects: &[Vec<EncodedObject>], input: StageInput) -> StageData {
    let object = &objects[input.stage as usize][input.task as usize];
    assert!(input.part.is_some() || object.parts.len() == 1, "{input:?}");
    object.part(input.part.unwrap_or(0) as usize).unwrap()
}

pub(crate) fn rows(batches: &[RecordBatch]) -> Rows {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().collect();
        let formats: Vec<_> = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |(column, format): (&&std::sync::Arc<dyn Array>, &ArrayFormatter<'_>)| {
                column.is_valid(row).then(|| format.value(row).to_string())
            };
            rows.push(columns.iter().zip(&formats).map(cell).collect());
        }
    }
    rows
}

pub(crate) async fn query(sql: &str, tables: &[(&str, &Path)], options: &PlannerOptions) -> Rows {
    rows(&run(&request(sql, tables), options).await.unwrap())
}
