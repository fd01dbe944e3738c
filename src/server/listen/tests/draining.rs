//! The way to the end, and the threads that go it.

use super::*;

#[tokio::test]
async fn draining_closes_idle_connections_and_finishes_busy_ones() {
    let mut gateway = start(&settings());
    let mut idle = gateway.connect().await;
    ask(&mut idle, "/hello").await;
    read_until(&mut idle, "hello").await;
    gateway.began("/hello").await;
    gateway.left("/hello").await;
    let mut busy = gateway.connect().await;
    ask(&mut busy, "/wait").await;
    gateway.began("/wait").await;
    gateway.stage.shutdown.signal();
    assert_eq!(read_all(&mut idle).await, "");
    gateway.stage.go.add_permits(1);
    assert!(read_all(&mut busy).await.ends_with("waited"));
    gateway.running.await.unwrap().unwrap();
    assert!(TcpStream::connect(gateway.addr).await.is_err());
}

#[tokio::test]
async fn who_has_just_connected_has_one_request_answered_while_draining() {
    let mut settings = settings();
    settings.threads = 1;
    let gateway = start(&settings);
    let mut fresh = gateway.connect().await;
    let mut late = gateway.connect().await;
    // Answered, so those before it have been accepted.
    assert!(
        gateway
            .exchange(GET.to_owned() + BAD)
            .await
            .contains("hello")
    );
    gateway.stage.shutdown.signal();
    gateway.stage.shutdown.closed().await;
    assert!(TcpStream::connect(gateway.addr).await.is_err());
    // This one may come before its connection has been woken by the signal.
    ask(&mut fresh, "/hello").await;
    let answer = read_all(&mut fresh).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    late.write_all(b"GET /hello HTTP/1.1\r\nHo").await.unwrap();
    late.write_all(b"st: a\r\n\r\n").await.unwrap();
    let answer = read_all(&mut late).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    gateway.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_in_the_turn_of_the_signal_tells_that_it_is_the_last() {
    let gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/hello").await;
    read_until(&mut stream, "hello").await;
    ask(&mut stream, "/signal").await;
    let answer = read_all(&mut stream).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("last"), "{answer}");
    gateway.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_that_have_queued_up_are_served_while_draining() {
    let server = Server::bind(&settings()).unwrap();
    let addr = server.local_addr().unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let (events, _events) = mpsc::unbounded_channel();
    let stage = Stage::new(events);
    let shutdown = stage.shutdown.clone();
    shutdown.signal();
    let running = tokio::spawn(server.run(move |_| Actor(stage.clone()), shutdown));
    for stream in &mut streams {
        assert!(read_all(stream).await.ends_with("hello"));
    }
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn late_streams_have_their_last_words_and_are_cut() {
    let mut settings = settings();
    settings.drain = Duration::from_millis(20);
    let mut gateway = start(&settings);
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/stream").await;
    gateway.began("/stream").await;
    gateway.stage.go.add_permits(1);
    read_until(&mut stream, "piece").await;
    let mut hanging = gateway.connect().await;
    ask(&mut hanging, "/wait").await;
    gateway.began("/wait").await;
    gateway.stage.shutdown.signal();
    let rest = read_all(&mut stream).await;
    assert!(rest.contains("last words") && !rest.contains("0\r\n\r\n"));
    assert_eq!(read_all(&mut hanging).await, "");
    gateway.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    gateway.began("/wait").await;
    gateway.end().await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn threads_run_tasks_before_serving_and_share_connections() {
    let server = Server::bind(&settings()).unwrap();
    for handle in server.handles() {
        assert_eq!(handle.spawn(async { 1 }).await.unwrap(), 1);
    }
    let made = Arc::new(AtomicUsize::new(0));
    let (events, mut began) = mpsc::unbounded_channel();
    let stage = Stage::new(events);
    let shutdown = stage.shutdown.clone();
    let (addr, counted) = (server.local_addr().unwrap(), Arc::clone(&made));
    let factory = move |index| {
        counted.fetch_add(index + 1, Ordering::Relaxed);
        Actor(Arc::clone(&stage))
    };
    let running = tokio::spawn(server.run(factory, shutdown.clone()));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    ask(&mut stream, "/wait").await;
    began.recv().await.unwrap();
    shutdown.signal();
    shutdown.signal();
    running.await.unwrap().unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 1 + 2);
}
