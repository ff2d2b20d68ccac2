//! How the system finds out that a peer has vanished without a word: its host died, or something between
//! lost the connection. TCP only; the other end of a unix socket can't vanish.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Longest time and interval that the system takes.
const MAX_SECONDS: u64 = 32_767;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Longest user timeout that the system takes.
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Most probes that the system takes.
const MAX_COUNT: u32 = 127;

/// When a silent peer is given up. Its defaults find it after a minute, whether bytes are on their way to it
/// (user timeout) or none are (probes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Silence before the first probe, in whole seconds, rounded up. `None`: no probes. Default 30 s.
    pub time: Option<Duration>,
    /// Between probes, in whole seconds, rounded up. Default 10 s.
    pub interval: Duration,
    /// Probes without an answer, 1 to 127. The user timeout, if there is one, overrides it. Default 3.
    pub count: u32,
    /// For how long bytes may stay unacknowledged, or find no room at the peer. `None`: the system's, about
    /// 15 min. Keep it above time + interval, or one lost probe ends the connection. Default 60 s.
    pub user_timeout: Option<Duration>,
}

impl Keepalive {
    /// The defaults, as a constant.
    pub const DEFAULT: Keepalive = Keepalive {
        time: Some(Duration::from_secs(30)),
        interval: Duration::from_secs(10),
        count: 3,
        user_timeout: Some(Duration::from_secs(60)),
    };

    /// Sets the options of a TCP socket. Set on one that listens, they hold for what it accepts.
    pub(super) fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        if let Some(time) = self.time {
            let probes = TcpKeepalive::new()
                .with_time(seconds(time))
                .with_interval(seconds(self.interval))
                .with_retries(self.count.clamp(1, MAX_COUNT));
            socket.set_tcp_keepalive(&probes)?;
        }
        match self.user_timeout {
            // An `int` of milliseconds, in which 0 means the system's default.
            Some(timeout) => socket.set_tcp_user_timeout(Some(timeout.clamp(MILLISECOND, MAX_USER_TIMEOUT))),
            None => Ok(()),
        }
    }
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive::DEFAULT
    }
}

fn seconds(time: Duration) -> Duration {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(whole.clamp(1, MAX_SECONDS))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    /// What the system says of a socket.
    pub(crate) fn read_back(socket: &impl AsFd) -> Keepalive {
        let socket = SockRef::from(socket);
        Keepalive {
            time: socket.keepalive().unwrap().then(|| socket.tcp_keepalive_time().unwrap()),
            interval: socket.tcp_keepalive_interval().unwrap(),
            count: socket.tcp_keepalive_retries().unwrap(),
            user_timeout: socket.tcp_user_timeout().unwrap(),
        }
    }

    /// Nobody's defaults.
    pub(crate) const UNUSUAL: Keepalive = Keepalive {
        time: Some(Duration::from_secs(41)),
        interval: Duration::from_secs(7),
        count: 5,
        user_timeout: Some(Duration::from_millis(71_500)),
    };

    #[test]
    fn a_socket_has_what_was_set() {
        let fresh = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let socket = fresh();
        let untouched = read_back(&socket);
        Keepalive { time: None, user_timeout: None, ..Keepalive::DEFAULT }.apply(&socket).unwrap();
        assert_eq!(read_back(&socket), untouched);
        for options in [Keepalive::DEFAULT, UNUSUAL] {
            options.apply(&socket).unwrap();
            assert_eq!(read_back(&socket), options);
        }
    }

    #[test]
    fn what_the_system_would_refuse_is_brought_within_its_limits() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let [short, long] =
            [(Duration::from_millis(1), 0), (Duration::MAX, u32::MAX)].map(|(time, count)| Keepalive {
                time: Some(time),
                interval: time,
                count,
                user_timeout: Some(time),
            });
        let second = Duration::from_secs(1);
        short.apply(&socket).unwrap();
        let expected = Keepalive {
            time: Some(second),
            interval: second,
            count: 1,
            user_timeout: Some(Duration::from_millis(1)),
        };
        assert_eq!(read_back(&socket), expected);
        long.apply(&socket).unwrap();
        let most = Duration::from_secs(MAX_SECONDS);
        let found = read_back(&socket);
        assert_eq!((found.time, found.interval, found.count), (Some(most), most, MAX_COUNT));
    }
}
