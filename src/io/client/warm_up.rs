//! Multiplexed connections that are made before the first call needs them.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::base::{Code, Error, Phase, Result};
use crate::io::sync::Pool;
use crate::io::{clock, timer};

/// A wish for connections, on its way to the task that makes them.
pub(super) struct WarmUp {
    pub(super) connections: usize,
    tell: Sender<(usize, Result<()>)>,
}

/// Where their outcomes arrive. It ends when nobody is left who could tell one.
pub(super) struct Outcomes(Receiver<(usize, Result<()>)>);

/// Tells the outcome of one dial.
pub(super) struct Greeter {
    peer: usize,
    tell: Sender<(usize, Result<()>)>,
}

/// A wish, and where to hear of it.
pub(super) fn new(connections: usize) -> (WarmUp, Outcomes) {
    let (tell, outcomes) = crossbeam_channel::unbounded();
    (WarmUp { connections, tell }, Outcomes(outcomes))
}

impl WarmUp {
    pub(super) fn greeter(&self, peer: usize) -> Greeter {
        Greeter { peer, tell: self.tell.clone() }
    }
}

impl Greeter {
    pub(super) fn tell(self, outcome: Result<()>) {
        // Whoever asked may have given up.
        let _ = self.tell.send((self.peer, outcome));
    }
}

impl Outcomes {
    /// An error for each address that was not given all of its connections in time.
    pub(super) fn wait(
        self,
        peers: &[(Arc<str>, Arc<Pool>)],
        connections: usize,
        timeout: Duration,
    ) -> Vec<Error> {
        let deadline = clock::now().checked_add(timeout);
        let mut made = vec![0; peers.len()];
        let mut failures: Vec<Option<Error>> = vec![None; peers.len()];
        loop {
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(clock::now()));
            match timer::receive(&self.0, left) {
                Ok((peer, Ok(()))) => made[peer] += 1,
                Ok((peer, Err(error))) => failures[peer] = failures[peer].take().or(Some(error)),
                Err(_) => break,
            }
        }
        let late = || {
            Error::new(Code::ConnectTimeout, format!("no connection within {timeout:?}")).at(Phase::Connect)
        };
        let each = peers.iter().zip(made).zip(failures).filter(|((_, made), _)| *made < connections);
        each.map(|(((name, _), _), failure)| failure.unwrap_or_else(late).with_peer(name)).collect()
    }
}
