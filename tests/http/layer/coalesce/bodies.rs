//! Bodies that are read, kept and passed on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use futures::channel::mpsc::unbounded;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::layer::SharedBody;

use super::menu::{Cooked, Fate, Menu, answer, data, fate, layer, soup};
use crate::layer::service::{call, get};
use crate::support::Hand;

type Frames = Vec<Result<Frame<Bytes>, String>>;

/// The frames of a body that are there now, and whether it has ended.
fn ready_frames(body: &mut SharedBody<Body>) -> (Frames, bool) {
    let (mut frames, mut task) = (Vec::new(), Context::from_waker(Waker::noop()));
    loop {
        match Pin::new(&mut *body).poll_frame(&mut task) {
            Poll::Ready(Some(frame)) => frames.push(frame.map_err(|error| error.to_string())),
            Poll::Ready(None) => return (frames, true),
            Poll::Pending => return (frames, false),
        }
    }
}

/// Gives frames one by one, and counts those that are still kept.
fn counted(kept: &Arc<AtomicUsize>, asked: &Arc<AtomicUsize>, count: usize, text: &'static [u8]) -> Body {
    struct Piece(&'static [u8], Arc<AtomicUsize>);
    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            self.0
        }
    }
    impl Drop for Piece {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (kept, asked) = (kept.clone(), asked.clone());
    let pieces = stream::iter((0..count).map(move |_| {
        kept.fetch_add(1, Ordering::SeqCst);
        asked.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_owner(Piece(text, kept.clone()))))
    }));
    Body::new(StreamBody::new(pieces))
}

#[test]
fn memory_is_by_the_byte_and_not_by_the_frame() {
    const GUESTS: usize = 50;
    const FRAMES: usize = 200_000;
    let (kept, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let cook = {
        let (kept, asked) = (kept.clone(), asked.clone());
        move |nth| answer(nth, StatusCode::OK, counted(&kept, &asked, FRAMES, b"x"))
    };
    let (layer, menu) = (layer(), Menu::new(cook));
    let mut service = menu.behind(&layer);
    let mut asked: Vec<_> = (0..GUESTS).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    menu.gate.open();
    let mut bodies: Vec<_> =
        asked.iter_mut().map(|guest| guest.poll().unwrap().unwrap().into_body()).collect();
    assert_eq!((menu.calls(), kept.load(Ordering::SeqCst)), (1, 0), "none of the frames is kept");
    let mut first = None;
    for body in &mut bodies {
        let (mut frames, has_ended) = ready_frames(body);
        assert!(has_ended && frames.len() == 1);
        let Ok(data) = frames.remove(0).unwrap().into_data() else { panic!("it is data") };
        assert_eq!(data.len(), FRAMES);
        // All of them have the same bytes.
        assert_eq!(*first.get_or_insert(data.as_ptr()), data.as_ptr());
    }
}

#[test]
fn one_large_frame_is_not_copied() {
    static SOUP: [u8; 1 << 19] = [b'x'; 1 << 19];
    let (layer, menu) = (layer(), Menu::new(|_| Ok(Response::new(Body::from(Bytes::from_static(&SOUP))))));
    let mut service = menu.behind(&layer);
    let mut both = [(); 2].map(|()| Hand::queued(call(&mut service, get("/soup"))));
    menu.gate.open();
    for guest in &mut both {
        let (mut frames, _) = ready_frames(&mut guest.poll().unwrap().unwrap().into_body());
        let data = frames.remove(0).unwrap().into_data();
        assert_eq!(data.map(|data| data.as_ptr()).ok(), Some(SOUP.as_ptr()));
    }
}

#[test]
fn reading_stops_at_its_limit_whatever_the_frames_are() {
    const LIMIT: usize = 1024;
    let cases: [(&[u8], usize); 3] = [(b"", LIMIT + 1), (b"x", LIMIT + 1), (b"0123456789", LIMIT / 10 + 1)];
    for (text, expected) in cases {
        let (kept, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let cook = {
            let (kept, asked) = (kept.clone(), asked.clone());
            move |nth| answer(nth, StatusCode::OK, counted(&kept, &asked, 3_000_000, text))
        };
        let (layer, menu) = (layer().max_body(LIMIT), Menu::open(cook));
        let mut leader = Hand::new(call(&mut menu.behind(&layer), get("/soup")));
        let body = leader.poll().unwrap().unwrap().into_body();
        assert_eq!(asked.load(Ordering::SeqCst), expected, "{text:?}");
        assert!(kept.load(Ordering::SeqCst) <= 1, "all but the last are in one piece, or dropped");
        // The leader gets all of it, in its order.
        let mut read = Hand::new(body.into_data_stream().take(LIMIT).collect::<Vec<_>>());
        let read: Vec<_> = read.poll().unwrap().into_iter().map(Result::unwrap).collect();
        assert!(read.concat().starts_with(&text.repeat(LIMIT)), "{text:?}");
    }
}

#[test]
fn trailers_count_and_end_the_body() {
    let many = || {
        let names = (0..40).map(|nth| HeaderName::try_from(format!("x-{nth:02}")).unwrap());
        Frame::trailers(HeaderMap::from_iter(names.map(|name| (name, "soup".parse().unwrap()))))
    };
    let cook = move |nth| {
        let frames = [Ok(Frame::data(Bytes::from("soup"))), Ok(many()), data("more")];
        answer(nth, StatusCode::OK, super::menu::frames(frames))
    };
    // Each trailer is 4 + 4 + 32.
    for (max_body, expected) in [(4 + 40 * 40, Fate::Shared), (3 + 40 * 40, Fate::Alone)] {
        assert_eq!(fate(&layer().max_body(max_body), &Menu::new(cook), || get("/soup")), expected);
        let menu = Menu::open(cook);
        let mut leader = Hand::new(call(&mut menu.behind(&layer().max_body(max_body)), get("/soup")));
        let body = Hand::new(leader.poll().unwrap().unwrap().into_body().collect()).poll().unwrap().unwrap();
        assert_eq!(body.trailers().map(HeaderMap::len), Some(40));
        assert_eq!(body.to_bytes(), "soup");
    }
}

#[test]
fn bodies_say_how_long_they_are() {
    let (layer, menu) = (layer().max_body(3), Menu::open(|_| Ok(Response::new(Body::from("soup")))));
    let passed = Hand::new(call(&mut menu.behind(&layer), get("/soup"))).poll().unwrap().unwrap().into_body();
    assert_eq!((passed.size_hint().exact(), passed.is_end_stream()), (Some(4), false));

    let menu = Menu::open(soup);
    let mut service = menu.behind(&self::layer());
    let mut shared = Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap().into_body();
    // With trailers.
    let hint =
        |body: &SharedBody<Body>| (body.size_hint().lower(), body.size_hint().upper(), body.is_end_stream());
    assert_eq!(hint(&shared), (4, None, false));
    let mut task = Context::from_waker(Waker::noop());
    for expected in [(0, None, false), (0, Some(0), true)] {
        assert!(matches!(Pin::new(&mut shared).poll_frame(&mut task), Poll::Ready(Some(Ok(_)))));
        assert_eq!(hint(&shared), expected);
    }
    assert!(matches!(Pin::new(&mut shared).poll_frame(&mut task), Poll::Ready(None)));

    // Read too far, and not to its end: the rest comes from the service.
    let mut service = Menu::open(soup).behind(&self::layer().max_body(1));
    let rest = Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap().into_body();
    assert_eq!((rest.size_hint().lower(), rest.size_hint().upper(), rest.is_end_stream()), (2, None, false));
}

/// A service that sends one part, and never another.
fn endless(headers: &[(HeaderName, &'static str)]) -> impl Fn(usize) -> Cooked + Send + Sync + 'static {
    let headers = headers.to_vec();
    move |nth| {
        let first = stream::iter([data("first")]);
        let mut answer =
            answer(nth, StatusCode::OK, Body::new(StreamBody::new(first.chain(stream::pending()))))?;
        for (name, value) in &headers {
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        Ok(answer)
    }
}

#[test]
fn streams_pass_through_at_once() {
    let media = [
        "text/event-stream",
        "Text/Event-Stream;charset=utf-8",
        "application/x-ndjson",
        "application/ndjson; charset=utf-8",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-seq",
        "application/geo+json-seq",
        "application/stream+json",
        "application/grpc",
        "application/grpc-web+proto",
        "multipart/x-mixed-replace;boundary=frame",
    ];
    let by_media = media.map(|media| (header::CONTENT_TYPE, media));
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "No");
    for header in by_media.into_iter().chain([unbuffered]) {
        let (layer, menu) = (layer(), Menu::new(endless(std::slice::from_ref(&header))));
        let mut service = menu.behind(&layer);
        let mut both = [(); 2].map(|()| Hand::queued(call(&mut service, get("/news"))));
        for (nth, guest) in both.iter_mut().enumerate() {
            menu.gate.open();
            let answer = guest.poll().expect("its head is there").unwrap();
            assert_eq!(answer.headers()["x-nth"], nth.to_string(), "{header:?}");
            let (frames, has_ended) = ready_frames(&mut answer.into_body());
            assert!(frames.len() == 1 && !has_ended);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_in_time_goes_on_to_its_leader_alone() {
    let (send, parts) = unbounded();
    let parts = std::sync::Mutex::new(Some(parts));
    let cook = move |nth| match parts.lock().unwrap().take() {
        Some(parts) => answer(nth, StatusCode::OK, Body::new(StreamBody::new(parts))),
        None => soup(nth),
    };
    let (layer, menu) = (layer().read_timeout(Duration::from_secs(1)), Menu::new(cook));
    let mut service = menu.behind(&layer);
    let mut leader = Hand::queued(call(&mut service, get("/soup")));
    let mut joined = Hand::queued(call(&mut service, get("/soup")));
    menu.gate.open();
    for part in ["so", "up"] {
        assert!(leader.poll().is_none());
        tokio::time::advance(Duration::from_millis(400)).await;
        send.unbounded_send(data(part)).unwrap();
    }
    assert!(leader.poll().is_none() && joined.poll().is_none());
    tokio::time::advance(Duration::from_millis(300)).await;
    assert!(leader.is_woken());
    let mut body = leader.poll().expect("it has waited for long enough").unwrap().into_body();
    let (mut frames, has_ended) = ready_frames(&mut body);
    let data = frames.remove(0).unwrap().into_data();
    assert_eq!((data.ok(), has_ended), (Some(Bytes::from("soup")), false));
    // The rest comes as the service sends it.
    send.unbounded_send(self::data("!")).unwrap();
    drop(send);
    assert_eq!(ready_frames(&mut body).0.len(), 1);
    menu.gate.open();
    assert_eq!(joined.poll().unwrap().unwrap().headers()["x-nth"], "1");
}
