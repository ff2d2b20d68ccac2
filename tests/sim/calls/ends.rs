//! The two ends of a connection, driven as `io::client` and `io::conn` drive them.

use krpc::base::{Biz, Error};
use krpc::proto::call::Response;
use krpc::proto::pingpong::{Answer, Exception, Reply};

use super::*;
use crate::cable::Read;

impl World {
    // ---- the client's end ---------------------------------------------------------------------

    pub(super) fn client(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        let Some(client) = &mut conn.client else { return };
        if conn.cable.write(Side::Client, &mut client.output, self.now, &mut self.dice).is_err() {
            return self.client_lost(index, true);
        }
        if client.output.is_empty()
            && let Proto::Alone(_, waiting @ Some(_)) = &mut client.proto
            && let Some(number) = waiting.filter(|number| self.calls[*number].oneway)
        {
            *waiting = None;
            self.close_client(index);
            return self.end(number, self.calls[number].plan);
        }
        match conn.cable.read(Side::Client, &mut client.input, self.now, &mut self.dice) {
            Read::Nothing => {}
            Read::Bytes => self.client_receives(index),
            Read::End => return self.client_lost(index, false),
            Read::Reset => return self.client_lost(index, true),
        }
        self.client_looks_at_the_clock(index);
    }

    fn client_receives(&mut self, index: usize) {
        loop {
            let Some(client) = &mut self.conns[index].client else { return };
            assert!(client.input.len() <= 2 * MOST + PIPELINE, "{} bytes", client.input.len());
            let (number, response) = match &mut client.proto {
                Proto::Alone(proto, waiting) => {
                    assert!(proto.missing(&client.input) >= 1);
                    let received = proto.receive(&mut client.input);
                    match (received, *waiting) {
                        (Ok(None), _) => return,
                        (Ok(Some(response)), Some(number)) => {
                            *waiting = None;
                            (number, Ok(response))
                        }
                        (Err(error), Some(number)) => (number, Err(error)),
                        // Bytes on an idle connection end it.
                        (Err(_), None) => return self.close_client(index),
                        (Ok(Some(_)), None) => panic!("an answer to nothing"),
                    }
                }
                Proto::Shared(proto) => match proto.receive(&mut client.input).expect("our own frames") {
                    Some(found) => found,
                    None => return,
                },
            };
            let keeps = match &self.conns[index].client.as_ref().unwrap().proto {
                Proto::Alone(proto, _) => proto.is_reusable(),
                Proto::Shared(_) => true,
            };
            let end = self.understand(number, response.expect("our own answers"));
            self.end(number, end);
            if !keeps {
                return self.close_client(index);
            }
        }
    }

    /// What an answer says; it must be the call's own.
    fn understand(&self, number_of_call: usize, response: Response) -> End {
        let own = format!("no {number_of_call}");
        let is_own = |error: &Error| assert_eq!(error.text(), own);
        let Some(error) = response.error else {
            let body = response.message.expect("an answer or an error").bytes();
            assert_eq!(number(&body), number_of_call, "the answer of another call");
            return End::Answer;
        };
        match error.code() {
            Code::BizStatus => {
                assert_eq!(error.biz_status().unwrap().code, number_of_call as i32 + 1);
                End::Biz
            }
            Code::RemoteException => {
                is_own(&error);
                End::Exception
            }
            Code::UnknownMethod => {
                is_own(&error);
                End::Last
            }
            code => panic!("{code:?}: {error}"),
        }
    }

    fn client_lost(&mut self, index: usize, reset: bool) {
        let reason = reset.then(|| std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let Some(client) = &mut self.conns[index].client else { return };
        let (lost, error) = match &mut client.proto {
            Proto::Alone(proto, waiting) => {
                let error = proto.lost(&client.input, reason.as_ref());
                assert!(!proto.is_reusable());
                (waiting.take().into_iter().collect(), error)
            }
            Proto::Shared(proto) => proto.lose(reason.as_ref()),
        };
        assert_eq!(error.code(), Code::ConnectionLost);
        self.close_client(index);
        lost.into_iter().for_each(|number: usize| self.end(number, End::Failed(error.code())));
    }

    fn client_looks_at_the_clock(&mut self, index: usize) {
        let now = self.now;
        let Some(client) = &mut self.conns[index].client else { return };
        let (late, ends) = match &mut client.proto {
            Proto::Alone(proto, waiting) => {
                let late = if proto.expired(now) { waiting.take() } else { None };
                (Vec::from_iter(late), late.is_some() || waiting.is_none() && self.closed)
            }
            Proto::Shared(proto) => {
                let late = proto.expire(now);
                (late, proto.waiting() == 0 && (self.closed || !proto.is_open()))
            }
        };
        let is_alone = matches!(client.proto, Proto::Alone(..));
        if ends && (client.output.is_empty() || is_alone) {
            self.close_client(index);
        }
        late.into_iter().for_each(|number| self.end(number, End::Failed(Code::Timeout)));
    }

    pub(super) fn close_client(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        conn.client = None;
        conn.cable.close(Side::Client, self.now, &mut self.dice);
    }

    // ---- the server's end, as io::conn drives it ----------------------------------------------

    pub(super) fn server(&mut self, index: usize) {
        let now = self.now;
        let Conn { cable, server: Some(server), .. } = &mut self.conns[index] else { return };
        server.draining = self.drain_at.is_some_and(|at| at <= now);
        if server.draining {
            server.proto.drain(&mut server.output, now).unwrap();
        }
        while let Some(at) = server.work.iter().position(|(at, ..)| *at <= now) {
            let (_, ticket, number) = server.work.swap_remove(at);
            let reply = answer(number, &self.calls[number], &mut self.dice);
            server.proto.reply(&mut server.output, ticket, &reply, now).expect("a reply to each request");
        }
        loop {
            while let Some((ticket, request)) = server.proto.receive(&mut server.input, now).expect("our own")
            {
                let number = number(&request.body);
                let call = &mut self.calls[number];
                assert!(!std::mem::replace(&mut call.handled, true), "call {number} was handled twice");
                server.work.push((now + call.handling, ticket, number));
            }
            let before = server.output.len();
            if cable.write(Side::Server, &mut server.output, now, &mut self.dice).is_err() {
                return self.close_server(index);
            }
            if server.output.len() < before {
                server.proto.written(server.output.len(), now);
            }
            if server.is_finished() {
                return self.close_server(index);
            }
            if !server.wants_bytes() {
                break;
            }
            match cable.read(Side::Server, &mut server.input, now, &mut self.dice) {
                Read::Nothing => break,
                Read::Bytes => {}
                Read::Reset => return self.close_server(index),
                Read::End if server.proto.is_handling() => return self.close_server(index),
                Read::End => server.peer_ended = true,
            }
            assert!(server.input.len() <= 2 * MOST + PIPELINE + 100_000, "{} bytes", server.input.len());
        }
        if server.proto.expired(now).is_some() {
            self.close_server(index);
        }
    }

    fn close_server(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        conn.server = None;
        conn.cable.close(Side::Server, self.now, &mut self.dice);
    }
}

impl Server {
    fn is_finished(&self) -> bool {
        let no_more = self.peer_ended && !self.proto.is_handling();
        self.output.is_empty() && (self.proto.is_closing() || no_more)
    }

    pub(super) fn wants_bytes(&self) -> bool {
        let room = self.proto.can_receive() || self.input.len() < PIPELINE;
        room && !self.peer_ended && !self.proto.is_closing() && self.output.len() < PIPELINE
    }
}

fn answer(number: usize, call: &Call, dice: &mut Dice) -> Reply {
    let exception =
        |type_id, close| Answer::Exception(Exception { type_id, text: format!("no {number}").into(), close });
    let answer = match call.plan {
        _ if call.oneway => Answer::Oneway,
        End::Answer => Answer::Message(message(number, dice.size(300))),
        End::Biz => Answer::Biz(Biz { code: number as i32 + 1, message: "no".into(), extra: Vec::new() }),
        End::Exception => exception(6, false),
        End::Last => exception(1, true),
        End::Failed(_) => unreachable!("no handler plans that"),
    };
    answer.into()
}
