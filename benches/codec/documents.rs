//! Documents of a few kilobytes, as the struct of an IDL and as a type of serde.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub const IDL: &str = "
    enum State { UNKNOWN = 0, PAID = 1, SENT = 2 }
    struct Item {
        1: required i64 id
        2: string title
        3: i32 count
        4: double price
        5: optional bool gift
        6: list<string> labels
    }
    struct Order {
        1: required i64 id
        2: string customer
        3: string remark
        4: State state
        5: map<string, string> properties
        6: list<Item> items
        7: optional double discount
        8: list<i64> history
    }
    service Orders { Order Place(1: Order order) }
";

#[derive(Serialize, Deserialize)]
pub struct Order {
    id: i64,
    customer: String,
    remark: String,
    state: i32,
    properties: BTreeMap<String, String>,
    items: Vec<Item>,
    discount: Option<f64>,
    history: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    id: i64,
    title: String,
    count: i32,
    price: f64,
    gift: Option<bool>,
    labels: Vec<String>,
}

/// An order whose JSON has about so many bytes, without white space.
pub fn order(bytes: usize) -> Order {
    let mut order = Order {
        id: 7_230_615_099_441_172_480,
        customer: "Zoë Müller-Öztürk".to_owned(),
        remark: "leave it at the door, please;\nring \"twice\"".to_owned(),
        state: 1,
        properties: (0..4).map(|n| (format!("property-{n}"), format!("value of property {n}"))).collect(),
        items: Vec::new(),
        discount: Some(0.125),
        history: (0..8).map(|n| 1_700_000_000_000 + n * 86_399).collect(),
    };
    while json(&order).len() < bytes {
        order.items.push(item(order.items.len()));
    }
    order
}

fn item(number: usize) -> Item {
    let id = i64::try_from(number).unwrap_or(0);
    Item {
        id: 4_000_000_000 + id * 7919,
        title: format!("A thing of some length that people buy, number {number}"),
        count: i32::try_from(number % 9).unwrap_or(0) + 1,
        price: 19.99 + f64::from(i32::try_from(number).unwrap_or(0)) * 3.25,
        gift: Some(number.is_multiple_of(3)),
        labels: vec!["red".to_owned(), format!("size-{}", number % 7)],
    }
}

pub fn json(order: &Order) -> Vec<u8> {
    serde_json::to_vec(order).expect("an order has no map with other keys than strings")
}
