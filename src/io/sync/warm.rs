//! Connections made before the first call needs them: all at once, on one thread.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use crate::base::fault::{self, Point};
use crate::base::{Error, Result};
use crate::io::backoff::Permit;
use crate::io::sync::conn::{self, Conn};
use crate::io::sync::pool::Pool;
use crate::io::{clock, sys};

/// Makes `count` connections to each pool's address and leaves them idle there. Returns an error for each
/// address that could not be given all of them; what could be made stays.
pub fn warm_up<'a>(pools: impl IntoIterator<Item = &'a Pool>, count: usize, timeout: Duration) -> Vec<Error> {
    let targets = pools.into_iter().map(Target::new).collect();
    let deadline = clock::now().checked_add(timeout);
    let mut warming = WarmUp { targets, dials: Vec::new(), timeout, deadline };
    for target in 0..warming.targets.len() {
        (0..count).for_each(|_| warming.dial(target, 0, None));
    }
    while !warming.dials.is_empty() {
        warming.step();
    }
    warming.targets.into_iter().filter_map(|target| target.failure).collect()
}

struct WarmUp<'a> {
    targets: Vec<Target<'a>>,
    dials: Vec<Dial>,
    timeout: Duration,
    deadline: Option<Instant>,
}

struct Target<'a> {
    pool: &'a Pool,
    /// What its name stands for.
    addresses: Vec<SockAddr>,
    failure: Option<Error>,
    /// The right to dial, until the first outcome.
    permit: Option<Permit>,
}

/// A connection on its way.
struct Dial {
    target: usize,
    socket: Socket,
    /// Which of the target's addresses is next, should this one fail.
    next: usize,
}

impl<'a> Target<'a> {
    fn new(pool: &'a Pool) -> Target<'a> {
        let now = clock::now();
        let permit = pool.gate().enter(now).ok_or_else(|| pool.gate().hold_back(now));
        let found = permit.and_then(|permit| Ok((conn::socket_addresses(pool.address())?, permit)));
        match found {
            Ok((addresses, permit)) => Target { pool, addresses, failure: None, permit: Some(permit) },
            Err(error) => {
                let failure = Some(error.with_peer(pool.address()));
                Target { pool, addresses: Vec::new(), failure, permit: None }
            }
        }
    }
}

impl WarmUp<'_> {
    /// Dials the target's addresses from `next` on, until one is on its way.
    fn dial(&mut self, target: usize, mut next: usize, mut failure: Option<io::Error>) {
        let Some(to) = self.targets.get_mut(target) else { return };
        while let Some(address) = to.addresses.get(next) {
            next += 1;
            match begin(address) {
                Ok(socket) => return self.dials.push(Dial { target, socket, next }),
                Err(reason) => failure = Some(reason),
            }
        }
        let timeout = self.timeout;
        let error = conn::explain(failure, timeout).with_peer(to.pool.address());
        if let Some(permit) = to.permit.take() {
            permit.failed(clock::now(), &error);
        }
        to.failure.get_or_insert(error);
    }

    /// Waits until something is known of some of them.
    fn step(&mut self) {
        let left = self.deadline.map(|at| at.saturating_duration_since(clock::now()));
        let sockets: Vec<_> = self.dials.iter().map(|dial| dial.socket.as_fd()).collect();
        let (ready, ended) = match sys::wait_any_writable(&sockets, left) {
            Ok(ready) if !ready.contains(&true) && left == Some(Duration::ZERO) => {
                (vec![true; ready.len()], Some(io::ErrorKind::TimedOut))
            }
            Ok(ready) => (ready, None),
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => return,
            Err(reason) => (vec![true; sockets.len()], Some(reason.kind())),
        };
        for (dial, ready) in std::mem::take(&mut self.dials).into_iter().zip(ready) {
            match (ready, ended) {
                (false, _) => self.dials.push(dial),
                // The time is up for all addresses of a name.
                (true, Some(kind)) => self.dial(dial.target, usize::MAX, Some(kind.into())),
                (true, None) => self.end(dial),
            }
        }
    }

    fn end(&mut self, dial: Dial) {
        let Some(to) = self.targets.get_mut(dial.target) else { return };
        match outcome(&dial.socket, to.pool) {
            Ok(()) => {
                if let Some(permit) = to.permit.take() {
                    permit.succeeded();
                }
                to.pool.adopt(Conn::over(dial.socket, to.pool.options()), clock::now());
            }
            Err(reason) => self.dial(dial.target, dial.next, Some(reason)),
        }
    }
}

fn begin(address: &SockAddr) -> io::Result<Socket> {
    fault::check(Point::Connect)?;
    let socket = conn::socket(address)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(reason) if reason.raw_os_error() != Some(libc::EINPROGRESS) => Err(reason),
        _ => Ok(socket),
    }
}

fn outcome(socket: &Socket, pool: &Pool) -> io::Result<()> {
    match socket.take_error()? {
        Some(reason) => Err(reason),
        None => conn::prepare(socket, &pool.options().keepalive),
    }
}

/// One error of all, if there are any.
pub fn summary(failures: Vec<Error>, addresses: usize) -> Result<()> {
    let Some(first) = failures.first() else { return Ok(()) };
    let each = failures.iter().map(|error| {
        let peer = error.peer().map(|peer| format!("{peer}: ")).unwrap_or_default();
        format!("{peer}{}", error.text())
    });
    let each = each.collect::<Vec<_>>().join("; ");
    let text = format!("{} of {addresses} addresses could not be connected: {each}", failures.len());
    Err(Error::new(first.code(), text).at(first.phase()))
}
