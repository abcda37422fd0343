//! A wire to the broker that can be cut and mended.

use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to the broker while it is whole.
pub(super) struct Link {
    /// The broker's address through this link.
    pub(super) url: String,
    whole: Arc<watch::Sender<bool>>,
}

impl Link {
    /// A link to the broker at `url`; it ends with the test's runtime.
    pub(super) async fn to(url: &str) -> Self {
        let mut through = url::Url::parse(url).expect("a URL");
        let broker = format!(
            "{}:{}",
            through.host_str().expect("a host"),
            through.port().unwrap_or(5672)
        );
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = door.local_addr().expect("an address").port();
        through.set_host(Some("127.0.0.1")).expect("a host");
        through.set_port(Some(port)).expect("a port");
        let whole = Arc::new(watch::Sender::new(true));
        let seen = Arc::clone(&whole);
        tokio::spawn(async move {
            while let Ok((near, _)) = door.accept().await {
                let mut state = seen.subscribe();
                if *state.borrow_and_update() {
                    tokio::spawn(carry(near, broker.clone(), state));
                }
            }
        });
        Self {
            url: through.to_string(),
            whole,
        }
    }

    /// Ends all connections and takes no new ones.
    pub(super) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Takes connections again.
    pub(super) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, broker: String, mut state: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(&broker).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        // Any change since is a cut, even one that is mended already.
        _ = state.changed() => {}
    }
}
