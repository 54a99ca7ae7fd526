//! The tables of all metrics: name, kind and help in one place for each service.

mod gateway;
mod scheduler;
mod worker;

pub use gateway::Metrics;
pub use scheduler::SchedulerMetrics;
pub use worker::WorkerMetrics;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::describe::Description;
use crate::series::Gauge;

/// Begins every metric's name.
const PREFIX: &str = "millstream";

/// The content type of every table's text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Declares a table: a struct whose fields are metrics, named after the field, with the field's comment as their help.
/// Clones share their numbers; a process makes one and hands it to its parts.
macro_rules! metrics {
    (
        $(#[doc = $about:literal])+
        $table:ident of $service:literal as $prefix:literal {
            $( $(#[doc = $doc:literal])+ $field:ident: $kind:ty, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $table {
            $( $(#[doc = $doc])+ pub $field: $kind, )+
            registry: std::sync::Arc<prometheus_client::registry::Registry>,
        }

        impl $table {
            /// All metrics at zero.
            pub fn new() -> Self {
                let mut registry = super::registry_of($service);
                let part = super::part_of(&mut registry, $prefix);
                $(
                    let $field = crate::series::Part::register(part, stringify!($field), concat!($($doc,)+));
                )+
                Self { $( $field, )+ registry: std::sync::Arc::new(registry) }
            }

            /// All metrics in the text format of OpenMetrics, for `/metrics`.
            pub fn encode(&self) -> String {
                let mut page = String::new();
                // Writing to a string cannot fail, and no encoder of this crate reports an error of its own.
                let _ = prometheus_client::encoding::text::encode(&mut page, &self.registry);
                page
            }

            /// What the reference page says of them.
            pub(crate) fn descriptions() -> Vec<crate::describe::Description> {
                let mut all = vec![super::build_description()];
                $(
                    let part = <$kind as crate::series::Part>::describe(
                        stringify!($field),
                        concat!($($doc,)+),
                    );
                    all.extend(part.into_iter().map(|metric| super::named(metric, $prefix)));
                )+
                all
            }
        }

        impl Default for $table {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}
use metrics;

const BUILD: (&str, &str) = ("build", "What runs here; always 1.");

fn registry_of(service: &'static str) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let facts = [("service", service), ("version", env!("CARGO_PKG_VERSION"))];
    registry.register(BUILD.0, BUILD.1.trim_end_matches('.'), Info::new(facts));
    registry
}

fn part_of<'a>(registry: &'a mut Registry, prefix: &str) -> &'a mut Registry {
    match prefix {
        "" => registry,
        prefix => registry.sub_registry_with_prefix(prefix),
    }
}

fn named(metric: Description, prefix: &str) -> Description {
    match prefix {
        "" => metric.within(PREFIX),
        prefix => metric.within(prefix).within(PREFIX),
    }
}

fn build_description() -> Description {
    Description::of::<Gauge>(BUILD.0, BUILD.1)
        .info()
        .with("service", "`gateway`, `scheduler` or `worker`")
        .with("version", "the program's")
        .within(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{TaskState, WorkerState};

    #[test]
    fn page_shows_every_label_value_of_a_counter_before_its_first_event() {
        let page = Metrics::new().encode();
        for line in [
            "millstream_jobs_total{outcome=\"failed\"} 0",
            "millstream_dead_letters_total{reader=\"scheduler\"} 0",
            "millstream_leader 0",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn what_nobody_has_told_is_not_shown_as_zero() {
        let metrics = Metrics::new();
        let shown = |name: &str| {
            let page = metrics.encode();
            page.lines()
                .filter(|line| line.starts_with(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown("millstream_workers{"), Vec::<String>::new());
        assert_eq!(shown("millstream_jobs_active "), Vec::<String>::new());
        metrics.jobs_active.set(Some(0));
        metrics.workers.of(WorkerState::Paused).set(Some(2));
        assert_eq!(shown("millstream_jobs_active "), ["millstream_jobs_active 0"]);
        assert_eq!(
            shown("millstream_workers{"),
            ["millstream_workers{state=\"paused\"} 2"]
        );
        metrics.jobs_active.set(None);
        assert_eq!(shown("millstream_jobs_active "), Vec::<String>::new());
    }

    #[test]
    fn units_are_declared_and_end_names() {
        let page = WorkerMetrics::new().encode();
        for line in [
            "# UNIT millstream_worker_fetch_seconds seconds",
            "# TYPE millstream_worker_fetch_seconds histogram",
            "millstream_worker_fetched_bytes_total 0",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        let build = format!(
            "millstream_build_info{{service=\"worker\",version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        assert!(page.contains(&build), "{page}");
    }

    #[test]
    fn a_fact_replaces_the_one_before() {
        let metrics = WorkerMetrics::new();
        metrics.info.set("a");
        metrics.info.set("b");
        let page = metrics.encode();
        assert!(page.contains("millstream_worker_info{worker=\"b\"} 1"), "{page}");
        assert!(!page.contains("worker=\"a\""), "{page}");
    }

    #[test]
    fn clones_share_their_numbers() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.task_runs.add(7);
        clone.tasks.of(TaskState::Assigned).set(Some(3));
        let page = metrics.encode();
        assert!(page.contains("millstream_task_runs_total 7"), "{page}");
        assert!(page.contains("millstream_tasks{state=\"assigned\"} 3"), "{page}");
    }
}
