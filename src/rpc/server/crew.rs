//! Worker threads of a service's or a method's own: however long its handlers take, they keep no others
//! from running.

use std::sync::Arc;

use crate::base::limits::MAX_IN_FLIGHT_OF_OWN_WORKERS;
use crate::base::{Error, Result};
use crate::io::runtime::{OwnWorkers, Runtime};
use crate::io::workers::Job;
use crate::rpc::server::in_flight::{InFlight, Permit};

/// Threads for one pool at most.
const MAX_THREADS: usize = 1024;

/// Worker threads of one's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerOptions {
    /// Most threads, at least 1. They start when they are needed.
    pub threads: usize,
    /// Requests that are being handled or wait for a thread; more are answered "request over limit". Default
    /// 1000.
    pub max_in_flight: usize,
}

impl WorkerOptions {
    /// So many threads, and the usual limit.
    pub fn new(threads: usize) -> WorkerOptions {
        WorkerOptions { threads, max_in_flight: MAX_IN_FLIGHT_OF_OWN_WORKERS }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_THREADS).contains(&self.threads) {
            let why = format_args!("{} is not within 1 and {MAX_THREADS}", self.threads);
            return Err(Error::invalid_argument("threads", why));
        }
        match self.max_in_flight {
            0 => Err(Error::invalid_argument("max_in_flight", "0 would refuse every request")),
            _ => Ok(()),
        }
    }
}

/// A pool with its limit.
pub(super) struct Crew {
    workers: OwnWorkers,
    in_flight: Arc<InFlight>,
}

impl Crew {
    pub(super) fn start(options: WorkerOptions, runtime: &Runtime) -> Arc<Crew> {
        let workers = runtime.own_workers(options.threads);
        Arc::new(Crew { workers, in_flight: InFlight::new(options.max_in_flight) })
    }

    /// A place for a request, unless all are taken.
    pub(super) fn admit(&self) -> Option<Permit> {
        self.in_flight.admit()
    }

    pub(super) fn submit(&self, job: Job) -> std::result::Result<(), Job> {
        self.workers.submit(job)
    }
}
