//! The rows of governance.md §5, and §12.36–§12.38.

use super::*;
use crate::policy::breaker::State;

const RULES: [Kind; 6] = [
    Kind::WeightedRoundRobin,
    Kind::InterleavedWeightedRoundRobin,
    Kind::WeightedRandom,
    Kind::WeightedRandomAlias,
    Kind::LeastLoaded,
    Kind::P2cEwma,
];

fn instances(weights: &[i32]) -> Vec<Instance> {
    let instance = |(at, weight): (usize, &i32)| Instance {
        address: format!("10.0.0.{at}:80"),
        weight: *weight,
        tags: BTreeMap::new(),
    };
    weights.iter().enumerate().map(instance).collect()
}

fn balancer(kind: Kind, weights: &[i32]) -> Balancer {
    let balancer = Balancer::new(kind, None, Mode::Better);
    balancer.update(&instances(weights), 0);
    balancer
}

fn number(node: &Node) -> usize {
    node.address()[7..].trim_end_matches(":80").parse().unwrap()
}

fn ask(chance: u64) -> Ask<'static> {
    Ask { chance: mix(chance), ..Ask::default() }
}

fn counts(balancer: &Balancer, nodes: usize, picks: u64) -> Vec<u64> {
    let mut counts = vec![0; nodes];
    for chance in 0..picks {
        counts[number(&balancer.pick(&ask(chance)).unwrap())] += 1;
    }
    counts
}

#[test]
fn smooth_round_robin_is_nginxs_up_to_rotation() {
    for chance in [0, 1 << 62, 2 << 62, 3 << 62, u64::MAX] {
        let balancer = Balancer::new(Kind::WeightedRoundRobin, None, Mode::Better);
        balancer.update(&instances(&[5, 1, 1]), chance);
        let picks: Vec<_> = (0..14).map(|n| number(&balancer.pick(&ask(n)).unwrap())).collect();
        assert_eq!(picks[..7], picks[7..]);
        let heavy: Vec<_> = picks[..7].iter().map(|node| *node == 0).collect();
        let longest = heavy.split(|heavy| !heavy).map(<[bool]>::len).max();
        assert!(longest <= Some(3), "{picks:?}: not smooth");
    }
    let balancer = balancer(Kind::WeightedRoundRobin, &[5, 1, 1]);
    let picks: Vec<_> = (0..7).map(|n| number(&balancer.pick(&ask(n)).unwrap())).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn round_robins_have_exact_shares_in_each_period() {
    for kind in [Kind::WeightedRoundRobin, Kind::InterleavedWeightedRoundRobin] {
        for weights in [&[5, 1, 1][..], &[10, 20, 30], &[7], &[3, 3, 3, 3], &[1, 100, 13, 50]] {
            let balancer = balancer(kind.clone(), weights);
            let divisor = weights.iter().fold(0, |d, w| gcd(d, u64::try_from(*w).unwrap()));
            let shares: Vec<_> = weights.iter().map(|w| u64::try_from(*w).unwrap() / divisor).collect();
            for _ in 0..3 {
                assert_eq!(counts(&balancer, weights.len(), shares.iter().sum()), shares, "{kind:?}");
            }
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn interleaved_takes_turns() {
    let balancer = balancer(Kind::InterleavedWeightedRoundRobin, &[3, 1, 2]);
    let picks: Vec<_> = (0..6).map(|n| number(&balancer.pick(&ask(n)).unwrap())).collect();
    assert_eq!(picks, [0, 2, 1, 0, 2, 0]);
}

#[test]
fn chance_keeps_the_shares() {
    for kind in [Kind::WeightedRandom, Kind::WeightedRandomAlias] {
        let weights = [10, 20, 30, 40];
        let counts = counts(&balancer(kind.clone(), &weights), 4, 1_000_000);
        for (count, weight) in counts.iter().zip(weights) {
            let share = *count as f64 / (f64::from(weight) * 10_000.0);
            assert!((0.98..=1.02).contains(&share), "{kind:?} {counts:?}");
        }
    }
}

#[test]
fn weights_that_make_a_long_sequence_keep_their_shares_nearly() {
    let weights = [1_000_003, 500_009, 7];
    let counts = counts(&balancer(Kind::WeightedRoundRobin, &weights), 3, 65_536);
    assert!(counts[0].abs_diff(2 * counts[1]) <= 4 && counts[2] >= 1, "{counts:?}");
}

#[test]
fn weight_zero_is_never_picked_and_none_left_is_an_error() {
    for kind in RULES {
        let balancer = balancer(kind.clone(), &[0, 10, -5]);
        assert!((0..200).all(|n| number(&balancer.pick(&ask(n)).unwrap()) == 1), "{kind:?}");
        balancer.update(&instances(&[0, 0]), 0);
        assert_eq!(balancer.pick(&ask(1)).unwrap_err(), NoNode::Empty);
        balancer.update(&[], 0);
        assert_eq!(balancer.pick(&ask(1)).unwrap_err(), NoNode::Empty);
    }
    assert_eq!(NoNode::Empty.to_string(), "no more instances to retry: no instance available");
}

fn consistent() -> Kind {
    Kind::Consistent(Consistent::default())
}

fn owner(balancer: &Balancer, key: &str) -> String {
    balancer.pick(&Ask { key: key.as_bytes(), ..Ask::default() }).unwrap().address().to_owned()
}

#[test]
fn the_hash_is_the_same_everywhere() {
    // Computed with the formula in the documentation by another program.
    for (text, expected) in VECTORS {
        assert_eq!(hash(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_key_stays_where_it_is() {
    let two = [balancer(consistent(), &[10; 8]), balancer(consistent(), &[10; 8])];
    let mut reversed = instances(&[10; 8]);
    reversed.reverse();
    two[1].update(&[], 0);
    two[1].update(&reversed, 77);
    let keys: Vec<_> = (0..2000).map(|n| format!("key{n}")).collect();
    let owners: Vec<_> = keys.iter().map(|key| owner(&two[0], key)).collect();
    assert!(keys.iter().zip(&owners).all(|(key, found)| owner(&two[1], key) == *found), "order matters");
    for address in instances(&[10; 8]).into_iter().map(|instance| instance.address) {
        let share = owners.iter().filter(|owner| **owner == address).count();
        assert!((175..=330).contains(&share), "{address} has {share} of 2000");
    }
    // Without one of them, only its keys move.
    two[0].update(&instances(&[10; 7]), 0);
    for (key, before) in keys.iter().zip(&owners) {
        let now = owner(&two[0], key);
        assert!(now == *before || before == "10.0.0.7:80", "{key}: {before} -> {now}");
    }
}

#[test]
fn consistent_hashing_needs_a_key_and_bears_zero_weights() {
    let balancer = balancer(consistent(), &[10, 10]);
    assert_eq!(balancer.pick(&Ask::default()).unwrap_err(), NoNode::NoKey);
    balancer.update(&instances(&[0, 0]), 0);
    let ask = Ask { key: b"k", ..Ask::default() };
    assert_eq!(balancer.pick(&ask).unwrap_err(), NoNode::Empty);
    assert!(Consistent { virtual_factor: 0, weighted: true }.check().is_err());
    let huge = Instance { weight: i32::MAX, ..instances(&[1]).remove(0) };
    balancer.update(&[huge], 0);
    assert_eq!(owner(&balancer, "k"), "10.0.0.0:80");
}

#[test]
fn a_key_belongs_to_the_next_point_above_it() {
    let how = Consistent { virtual_factor: 7, weighted: true };
    let balancer = balancer(Kind::Consistent(how), &[1, 2, 3]);
    let mut points = Vec::new();
    for (at, weight) in (0u64..3).zip(1..) {
        for point in 0..weight * 7 {
            points.push((hash(format!("10.0.0.{at}:80#{point}").as_bytes()), at));
        }
    }
    points.sort_unstable();
    for key in (0..5000).map(|n| format!("key{n}")) {
        let above = points.iter().find(|(point, _)| *point > hash(key.as_bytes())).unwrap_or(&points[0]);
        assert_eq!(owner(&balancer, &key), format!("10.0.0.{}:80", above.1), "{key}");
    }
}

#[test]
fn tags_make_groups() {
    let tagged = |inner| Kind::Tagged { tag: "idc".into(), inner: Box::new(inner) };
    assert_eq!(tagged(Kind::WeightedRoundRobin).name(), "tagging_weight_round_robin");
    let balancer = Balancer::new(tagged(tagged_by_cluster()), None, Mode::Better);
    let mut list = instances(&[1; 6]);
    for (at, instance) in list.iter_mut().enumerate() {
        if at < 4 {
            instance.tags.insert("idc".into(), if at % 2 == 0 { "a" } else { "b" }.into());
            instance.tags.insert("cluster".into(), format!("c{}", at / 2));
        }
    }
    balancer.update(&list, 0);
    let pick = |groups: &[&str]| {
        let node = balancer.pick(&Ask { groups, chance: 7, ..Ask::default() });
        node.map(|node| number(&node))
    };
    assert_eq!(pick(&["a", "c0"]), Ok(0));
    assert_eq!(pick(&["b", "c1"]), Ok(3));
    assert!(matches!(pick(&[]), Ok(4 | 5)), "without the tag: the group \"\"");
    assert_eq!(pick(&["a", "c9"]), Err(NoNode::Empty));
    assert_eq!(pick(&["z"]), Err(NoNode::Empty));
}

fn tagged_by_cluster() -> Kind {
    Kind::Tagged { tag: "cluster".into(), inner: Box::new(Kind::WeightedRoundRobin) }
}

#[test]
fn lists_change() {
    for (mode, noticed) in [(Mode::Better, 1), (Mode::Compat, 0)] {
        let balancer = Balancer::new(Kind::WeightedRoundRobin, None, mode);
        let mut list = instances(&[10, 10, 10]);
        assert_eq!(balancer.update(&list, 0).added.len(), 3);
        assert!(balancer.update(&list, 0).is_empty());
        list[0].tags.insert("idc".into(), "a".into());
        assert_eq!(balancer.update(&list, 0).updated.len(), noticed, "{mode:?}");
        list[1].weight = 5;
        list.remove(2);
        list.push(list[0].clone());
        let change = balancer.update(&list, 0);
        assert_eq!(change.removed, ["10.0.0.2:80"]);
        assert_eq!(change.updated, ["10.0.0.1:80"]);
        assert_eq!(counts(&balancer, 3, 300), [200, 100, 0]);
    }
}

#[test]
fn an_instance_keeps_its_state_until_it_goes() {
    let config = Config { min_samples: 3, ..Config::default() };
    let balancer = Balancer::new(Kind::WeightedRoundRobin, Some(config), Mode::Better);
    balancer.update(&instances(&[10, 10]), 0);
    let first = balancer.pick(&Ask::default()).unwrap();
    for _ in 0..3 {
        first.begin(Time::ZERO).end(Outcome::GetConnection, Time::ZERO);
    }
    assert_eq!(first.breaker().state(), State::Open);
    let others = |list: &[Instance]| {
        balancer.update(list, 0);
        (0..20).all(|n| balancer.pick(&ask(n)).unwrap().id() != first.id())
    };
    assert!(others(&instances(&[10, 10])), "an open one is skipped within the pick");
    assert!(others(&instances(&[20, 10])), "another weight, the same instance");
    balancer.update(&instances(&[10, 10])[1..], 0);
    balancer.update(&instances(&[10, 10]), 0);
    let addresses = (0..20).map(|n| balancer.pick(&ask(n)).unwrap().address().to_owned());
    assert!(addresses.into_iter().any(|address| address == first.address()), "gone and back: forgotten");
}

#[test]
fn timeouts_do_not_open_an_instance() {
    let config = Config { min_samples: 3, ..Config::default() };
    let balancer = Balancer::new(Kind::WeightedRoundRobin, Some(config), Mode::Better);
    balancer.update(&instances(&[10]), 0);
    for outcome in [Outcome::Timeout, Outcome::Other, Outcome::Answer].repeat(10) {
        balancer.pick(&Ask::default()).unwrap().begin(Time::ZERO).end(outcome, Time::ZERO);
    }
    assert_eq!(balancer.pick(&Ask::default()).unwrap().breaker().state(), State::Closed);
    for _ in 0..40 {
        let node = balancer.pick(&Ask::default());
        node.map(|node| node.begin(Time::ZERO).end(Outcome::GetConnection, Time::ZERO)).ok();
    }
    assert_eq!(balancer.pick(&Ask::default()).unwrap_err(), NoNode::AllBroken);
}

#[test]
fn what_to_avoid_is_avoided_if_there_is_a_choice() {
    for kind in RULES.into_iter().chain([consistent()]) {
        let balancer = balancer(kind.clone(), &[100, 1, 1]);
        for chance in 0..300 {
            let mut ask = Ask { key: b"key", ..ask(chance) };
            let first = balancer.pick(&ask).unwrap();
            ask.avoid = [first.id()].into_iter().collect();
            let second = balancer.pick(&ask).unwrap();
            ask.avoid = [first.id(), second.id()].into_iter().collect();
            let third = balancer.pick(&ask).unwrap();
            assert!(first.id() != second.id() && third.id() != first.id() && third.id() != second.id());
            ask.avoid = [first.id(), second.id(), third.id()].into_iter().collect();
            assert!(balancer.pick(&ask).is_ok(), "no choice is no reason to fail: {kind:?}");
        }
    }
}

#[test]
fn one_attempt_picks_six_times_at_most() {
    let wide = balancer(Kind::WeightedRoundRobin, &[10; 10]);
    let mut walk = Walk::default();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(node) = walk.next(&wide, &ask(3)) {
        assert!(seen.insert(node.unwrap().id()), "a new one each time");
    }
    assert_eq!(seen.len(), MAX_PICKS);
    let one = balancer(Kind::WeightedRoundRobin, &[10]);
    let mut walk = Walk::default();
    assert_eq!(std::iter::from_fn(|| walk.next(&one, &ask(3))).filter(Result::is_ok).count(), MAX_PICKS);
    assert!(Walk::goes_on(Outcome::GetConnection));
    for outcome in [Outcome::Answer, Outcome::Timeout, Outcome::Other, Outcome::Acl] {
        assert!(!Walk::goes_on(outcome), "{outcome:?}");
    }
}

#[test]
fn the_same_instance_again() {
    let balancer = balancer(Kind::WeightedRoundRobin, &[10; 3]);
    let node = balancer.pick(&ask(1)).unwrap();
    assert_eq!(balancer.same(node.id(), Time::ZERO).map(|node| node.id()), Some(node.id()));
    assert!(balancer.same(NodeId(99), Time::ZERO).is_none());
}

#[test]
fn the_least_loaded_for_its_weight() {
    let balancer = balancer(Kind::LeastLoaded, &[10, 20]);
    let calls: Vec<_> = (0..30).map(|n| balancer.pick(&ask(n)).unwrap().begin(Time::ZERO)).collect();
    let mut by_node = BTreeMap::new();
    calls.iter().for_each(|call| *by_node.entry(call.id().0).or_insert(0) += 1);
    assert_eq!(by_node.into_values().collect::<Vec<_>>(), [10, 20]);
    drop(calls);
    assert_eq!(balancer.pick(&ask(0)).unwrap().in_flight(), 0, "dropped is over");
}

#[test]
fn two_choices_leave_slow_and_failing_instances_alone() {
    for bad in [Outcome::Answer, Outcome::Other] {
        let balancer = balancer(Kind::P2cEwma, &[10; 5]);
        let mut counts = [0; 5];
        for n in 0..5000u64 {
            let now = Time::from_millis(n);
            let node = balancer.pick(&Ask { now, ..ask(n) }).unwrap();
            let at = number(&node);
            counts[at] += 1;
            // Node 3 is slow, or fails at once.
            let (outcome, took) = match (at, bad) {
                (3, Outcome::Answer) => (Outcome::Answer, 50),
                (3, _) => (bad, 0),
                _ => (Outcome::Answer, 5),
            };
            node.begin(now).end(outcome, now.plus(took * 1_000_000));
        }
        assert!(counts[3] < 150, "{bad:?} {counts:?}");
        assert!(counts.iter().enumerate().all(|(at, count)| at == 3 || *count > 900), "{counts:?}");
    }
}

#[test]
fn names() {
    let names: Vec<_> = RULES.iter().chain([&consistent()]).map(Kind::name).collect();
    let expected = [
        "weight_round_robin",
        "interleaved_weighted_round_robin",
        "weight_random",
        "weight_random_with_alias_method",
        "least_loaded",
        "p2c_ewma",
        "consist",
    ];
    assert_eq!(names, expected);
    assert_eq!(Kind::default().name(), "weight_round_robin");
}

#[test]
fn lists_change_while_calls_pick() {
    let balancer = balancer(Kind::P2cEwma, &[10; 20]);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let balancer = &balancer;
            scope.spawn(move || {
                for n in 0..20_000 {
                    let node = balancer.pick(&ask(n * 3 + thread)).unwrap();
                    node.begin(Time::from_millis(n)).end(Outcome::Answer, Time::from_millis(n + 1));
                }
            });
        }
        for n in 0..200 {
            balancer.update(&instances(&[10; 20][..1 + n % 20]), n as u64);
        }
    });
    let group = balancer.group.load();
    assert!(group.nodes.iter().all(|node| node.in_flight() == 0));
}

const VECTORS: [(&str, u64); 5] = [
    ("", 0xEFD01F60BA992926),
    ("a", 0x82A2A958A9BECE5B),
    ("10.0.0.1:80#0", 0xD98828FA05766DD3),
    ("user-42", 0xA39532C7AB051E8D),
    ("kéy", 0x558F9A7F85D31943),
];
