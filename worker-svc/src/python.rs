//! What the worker's settings mean for its Python processes.

use millstream_config::{PythonSettings, WorkerSettings};
use millstream_executor::PythonStacks;
use millstream_transfer::{StackSource, TaskStack};
use millstream_types::{ByteSize, ResourceSet};
use tracing::{debug, warn};

/// The executor's settings for a worker with this memory limit and so many slots.
pub(crate) fn settings(
    worker: &WorkerSettings,
    python: &PythonSettings,
    limit: ByteSize,
    slots: usize,
) -> millstream_executor::PythonSettings {
    raise_descriptor_limit();
    let share = ByteSize::new(limit.fraction(0.5).as_u64() / slots.max(1) as u64);
    millstream_executor::PythonSettings {
        allowed: python.allow,
        interpreter: python.interpreter.clone(),
        inherit_env: python.inherit_env.clone(),
        dir: worker.scratch_dir.clone(),
        env_dir: python.env_dir.clone(),
        env_quota: python.env_quota.as_u64(),
        secrets_dir: python.secrets_dir.clone(),
        memory_limit: limit.fraction(worker.terminate.get()).as_u64(),
        devices: devices(
            &worker.resources,
            std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref(),
        ),
        gateway: gateway_access(python),
        recycle_above: python.recycle_above.unwrap_or(share).as_u64(),
        log_limit: worker.log_limit.as_u64(),
        ..millstream_executor::PythonSettings::default()
    }
}

/// The devices that the worker gives to its tasks: those that it was given itself, else as many as it has by its settings.
fn devices(resources: &ResourceSet, visible: Option<&str>) -> Vec<String> {
    let count = resources.get("gpu").as_milli().div_ceil(1000);
    let Some(visible) = visible.filter(|_| count > 0) else {
        return (0..count).map(|number| number.to_string()).collect();
    };
    let names = visible.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    if (names.len() as u64) < count {
        warn!(
            visible,
            gpu = count,
            "worker.resources has more gpu than CUDA_VISIBLE_DEVICES names: tasks wait for those that it names"
        );
    }
    names
}

/// What Python tasks execute, as the data plane tells it.
pub(crate) fn stack_source(stacks: PythonStacks) -> StackSource {
    Box::new(move || {
        let told = stacks.all().into_iter().map(|stack| TaskStack {
            job: stack.job,
            task: stack.task,
            text: stack.text,
        });
        told.collect()
    })
}

/// How tasks reach the gateway, if the settings tell both its address and its token.
fn gateway_access(python: &PythonSettings) -> Option<millstream_executor::GatewayAccess> {
    let (url, token) = python.gateway_url.as_ref().zip(python.gateway_token.as_ref())?;
    Some(millstream_executor::GatewayAccess {
        url: url.clone(),
        token: token.expose().to_owned(),
    })
}

/// Each large Python value in memory is a descriptor, and systems allow few of them unless they are asked.
fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::Amount;

    use super::*;

    #[test]
    fn devices_are_those_the_worker_was_given() {
        let two = ResourceSet::new().with("gpu", Amount::whole(2));
        assert_eq!(devices(&two, None), ["0", "1"]);
        assert_eq!(devices(&two, Some("GPU-8a, GPU-f2")), ["GPU-8a", "GPU-f2"]);
        assert_eq!(devices(&ResourceSet::new(), Some("0,1")), [""; 0]);
    }
}
