//! The one struct of `tests/interop/idl/streams.thrift`, in Thrift Binary.

use krpc::base::{Encoding, Message};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Item {
    pub n: i64,
    pub data: Vec<u8>,
    pub text: String,
}

impl Item {
    pub fn text(text: &str) -> Item {
        Item { text: text.to_owned(), ..Item::default() }
    }

    pub fn numbered(n: i64, data: Vec<u8>) -> Item {
        Item { n, data, ..Item::default() }
    }

    pub fn message(&self) -> Message {
        let mut bytes = vec![10, 0, 1];
        bytes.extend(self.n.to_be_bytes());
        for (id, field) in [(2, &self.data[..]), (3, self.text.as_bytes())] {
            if !field.is_empty() {
                bytes.extend([11, 0, id]);
                bytes.extend((field.len() as u32).to_be_bytes());
                bytes.extend(field);
            }
        }
        bytes.push(0);
        Message::new(Encoding::THRIFT_BINARY, bytes.into())
    }

    pub fn read(message: &Message) -> Item {
        let all = message.bytes();
        let (mut item, mut rest) = (Item::default(), &all[..]);
        loop {
            match rest {
                [0] => return item,
                [10, 0, 1, more @ ..] => {
                    item.n = i64::from_be_bytes(more[..8].try_into().unwrap());
                    rest = &more[8..];
                }
                [11, 0, id, more @ ..] => {
                    let len = u32::from_be_bytes(more[..4].try_into().unwrap()) as usize;
                    let field = more[4..4 + len].to_vec();
                    match id {
                        2 => item.data = field,
                        _ => item.text = String::from_utf8(field).unwrap(),
                    }
                    rest = &more[4 + len..];
                }
                other => panic!("no Item: {other:?}"),
            }
        }
    }
}
