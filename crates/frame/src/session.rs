//! The engine's settings for planning and for running.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::arith::Operation;
use crate::prod::Prod;
use crate::request::PlannerOptions;

/// What plans are made in.
pub(crate) fn planning(options: &PlannerOptions, partitions: usize) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(options.batch_size)
        .with_information_schema(false);
    let settings = config.options_mut();
    settings.optimizer.hash_join_single_partition_threshold = options.broadcast_bytes;
    settings.optimizer.hash_join_single_partition_threshold_rows = options.broadcast_rows;
    settings.optimizer.repartition_file_min_size =
        usize::try_from(options.min_split_bytes).unwrap_or(usize::MAX);
    // Positions for error messages.
    settings.sql_parser.collect_spans = true;
    // `0.06 + 0.01` is 0.07 in SQL; as binary floats it is less, and TPC-H's query 6 loses rows.
    settings.sql_parser.parse_float_as_decimal = true;
    with_functions(SessionContext::new_with_config(config))
}

/// What tasks run in: each has one partition.
pub(crate) fn running(batch_size: usize, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(batch_size)
        .with_information_schema(false);
    with_functions(SessionContext::new_with_config_rt(config, runtime))
}

/// Plans name their functions, so whatever plans must know ours, and whatever runs too.
fn with_functions(context: SessionContext) -> SessionContext {
    context.register_udaf(AggregateUDF::from(Prod::default()));
    for operation in Operation::ALL {
        context.register_udf(operation.function());
    }
    context
}
