//! The settings that are a choice between words.

/// A type whose values are written as words.
pub(super) trait Choice: Copy + 'static {
    /// All words, the usual one first.
    const WORDS: &'static [&'static str];

    /// The value that `word` stands for.
    fn from_word(word: &str) -> Option<Self>;
}

/// Makes each enum together with the words for its values, so that the two cannot differ.
macro_rules! choices {
    ($(
        $(#[$about:meta])*
        $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }
    )+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $variant,)+
        }

        impl $name {
            /// The word for it in the configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value that `word` stands for, if it is one of the words.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }
    )+};
}

choices! {
    /// What a client's closing of its sending side means.
    HalfClose {
        /// The client has left.
        Leave = "leave",
        /// It waits for the answer.
        Serve = "serve",
    }

    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }

    /// The least important lines that are logged.
    LogLevel {
        /// Someone must look.
        Error = "error",
        /// Went on, but not as it should.
        Warn = "warn",
        /// Life cycle, and one line per request.
        Info = "info",
        /// Steps.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }

    /// Who is let in.
    AuthMode {
        /// Those who send a known key.
        Keys = "keys",
        /// Everyone.
        Open = "open",
    }

    /// Who may call a model that has no access list.
    ModelAccess {
        /// Every user.
        Open = "open",
        /// Admins only.
        Granted = "granted",
    }

    /// What the failure of a function does to the request.
    Closing {
        /// The request fails with it.
        Closed = "closed",
        /// The request goes on without the function.
        Open = "open",
    }

    /// What `outlet` can do to a streamed answer.
    StreamOutlet {
        /// It sees the finished text, which has been sent by then.
        Observe = "observe",
        /// The stream is held back until `outlet` has decided.
        Hold = "hold",
    }

    /// Which requirements of functions are installed.
    Requirements {
        /// Those in `python.approved`.
        Approved = "approved",
        /// All.
        Auto = "auto",
        /// None.
        Off = "off",
    }

    /// What happens where functions cannot be isolated.
    Isolation {
        /// They run with the protections that there are.
        BestEffort = "best_effort",
        /// They do not run.
        Required = "required",
        /// They run without any.
        Off = "off",
    }

    /// Which connections a function may open.
    NetworkAccess {
        /// All that the gateway's machine can.
        Open = "open",
        /// None.
        None = "none",
    }

    /// What an upstream speaks.
    UpstreamKind {
        /// OpenAI's API.
        OpenAi = "openai",
        /// Ollama's API.
        Ollama = "ollama",
        /// Nothing: it is the demo model inside the gateway.
        Embedded = "embedded",
    }

    /// Which member of an upstream gets a request.
    Affinity {
        /// A lightly loaded one.
        None = "none",
        /// The same one for the whole conversation, for its prefix cache.
        Conversation = "conversation",
    }

    /// What a user may do.
    Role {
        /// Use the models.
        User = "user",
        /// Also manage the gateway.
        Admin = "admin",
    }
}
