//! Rules that look at the load. Beyond the reference.

use std::sync::Arc;

use crate::policy::balance::Node;
use crate::policy::balance::round::Cumulative;
use crate::policy::number::{below, index, mix};
use crate::policy::time::Time;

/// The node with the fewest calls under way for its weight; among equals the first from one by chance on.
/// Nothing is better than an idle node of the greatest weight, so there the search ends.
pub(super) fn least_loaded(nodes: &[Arc<Node>], greatest: u32, chance: u64) -> usize {
    let from = index(below(chance, nodes.len() as u64)).min(nodes.len());
    let (front, back) = nodes.split_at(from);
    let order = back.iter().zip(from..).chain(front.iter().zip(0..));
    let mut best: Option<(usize, u64, u64)> = None;
    for (node, at) in order {
        let (load, weight) = (u64::from(node.in_flight()) + 1, u64::from(node.weight()));
        if best.is_none_or(|(_, best_load, best_weight)| load * best_weight < best_load * weight) {
            best = Some((at, load, weight));
            if load == 1 && weight == u64::from(greatest) {
                break;
            }
        }
    }
    best.map_or(usize::MAX, |(at, ..)| at)
}

/// The cheaper of two nodes by chance and weight.
pub(super) fn better_of_two(nodes: &[Arc<Node>], by_weight: &Cumulative, chance: u64, now: Time) -> usize {
    let one = by_weight.at(chance);
    let other_chance = mix(chance);
    let mut other = by_weight.at(other_chance);
    if other == one {
        // Any other one, so that two are compared wherever there are two.
        let others = (nodes.len() as u64).saturating_sub(1);
        let step = index(below(mix(other_chance), others)) + 1;
        other = (one + step) % nodes.len().max(1);
    }
    // Chance has chosen by weight already, so cost must not count it again.
    let cost = |at: usize| {
        let weight = |node: &Arc<Node>| f64::from(node.weight());
        nodes.get(at).map_or(f64::MAX, |node| f64::from(node.cost(now)) * weight(node))
    };
    if cost(other) < cost(one) { other } else { one }
}
