//! Time as an argument: nanoseconds since an origin that the driver chooses once and keeps.

use std::time::{Duration, Instant};

/// A point in time. All times that meet in one client or server count from the same origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Time = Time(0);
    /// Later than all others: what never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// So many nanoseconds behind the origin.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// So many milliseconds behind the origin.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis.saturating_mul(1_000_000))
    }

    /// Where `instant` stands, counted from `origin`; an instant before the origin is the origin.
    pub fn of(instant: Instant, origin: Instant) -> Time {
        Time(nanos(instant.saturating_duration_since(origin)))
    }

    /// The instant, counted from `origin`; `None` for [`Time::NEVER`] and what is too far away.
    pub fn instant(self, origin: Instant) -> Option<Instant> {
        (self != Time::NEVER).then(|| origin.checked_add(Duration::from_nanos(self.0))).flatten()
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This much later, in nanoseconds.
    #[inline]
    pub const fn plus(self, nanos: u64) -> Time {
        Time(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to here; 0 if it is later.
    #[inline]
    pub const fn nanos_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to here; zero if it is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

/// A duration in nanoseconds; more than 584 years are 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds in nanoseconds.
pub const fn millis(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000)
}

/// A duration as Go prints it (`1.5s`, `300ms`, `1m0s`): the reference's texts have durations in this form.
pub fn go_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let (whole, rest) = (value / unit, value % unit);
        let digits = unit.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        let rest = rest.trim_end_matches('0');
        if unit == 1 || rest.is_empty() { whole.to_string() } else { format!("{whole}.{rest}") }
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (300_000_000, "300ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (60_000_000_000, "1m0s"),
            (3_661_000_000_000, "1h1m1s"),
        ] {
            assert_eq!(go_text(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn never_stays_never() {
        assert_eq!(Time::NEVER.plus(5), Time::NEVER);
        assert_eq!(Time::from_millis(u64::MAX), Time::NEVER);
        let origin = Instant::now();
        assert_eq!(Time::NEVER.instant(origin), None);
        let later = origin + Duration::from_millis(3);
        assert_eq!(Time::of(later, origin), Time::from_millis(3));
        assert_eq!(Time::from_millis(3).instant(origin), Some(later));
        assert_eq!(Time::of(origin, later), Time::ZERO);
    }
}
