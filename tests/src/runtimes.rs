//! The runtimes that Pico is built on, in one table, and the macros that run a test on each.
//!
//! A test is a function; which runtime it runs on is its parameter. The macros make it a
//! `#[test]` for each runtime, or for each pair of them, in modules of the runtimes' names. So
//! the name of a test that fails says where it failed, and one that is in no list is a function
//! that nobody calls, of which the compiler warns.

/// Hands each runtime to the macro `$then`, with what else it is to know: the module for its
/// tests, its static in [`e2e`](crate::e2e), its platform, and then its name, its package, its
/// binary and the environment variable that names another binary to test.
#[doc(hidden)]
#[macro_export]
macro_rules! each_runtime {
    ($then:ident $known:tt) => {
        $crate::$then! { $known tokio TOKIO (::pico_runtime_tokio::Tokio)
        ("tokio", "pico-runtime-tokio", "pico", "PICO_BIN") }
        $crate::$then! { $known async_std ASYNC_STD (::pico_runtime_async_std::AsyncStd)
        ("async-std", "pico-runtime-async-std", "pico-async-std", "PICO_ASYNC_STD_BIN") }
    };
}

/// Makes tests of functions `fn name<P: Platform>()`, one for each runtime.
#[macro_export]
macro_rules! on_each_platform {
    ($($test:ident),* $(,)?) => { $crate::each_runtime! { platform_tests [$($test)*] } };
}

/// Makes tests of functions `fn name<S: Platform, A: Platform>()`, one for each pair of a
/// server's and an agent's runtime.
#[macro_export]
macro_rules! on_each_pair_of_platforms {
    ($($test:ident),* $(,)?) => {
        mod server_on {
            $crate::each_runtime! { pairs_of_platforms [$($test)*] }
        }
    };
}

/// Makes tests of functions `fn name(on: &'static Runtime)`, one for the binary of each runtime.
#[macro_export]
macro_rules! on_each_runtime {
    ($($test:ident),* $(,)?) => { $crate::each_runtime! { runtime_tests [$($test)*] } };
}

/// Makes tests of functions `fn name(on: Pair)`, one for each pair of a server's and an agent's
/// binary.
#[macro_export]
macro_rules! on_each_pair {
    ($($test:ident),* $(,)?) => {
        mod server_on {
            $crate::each_runtime! { pairs [$($test)*] }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! platform_tests {
    ([$($test:ident)*] $module:ident $binary:ident ($platform:path) $build:tt) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test::<$platform>();
            })*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! runtime_tests {
    ([$($test:ident)*] $module:ident $binary:ident $platform:tt $build:tt) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test(&$crate::e2e::$binary);
            })*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! pairs {
    ($tests:tt $module:ident $binary:ident $platform:tt $build:tt) => {
        mod $module {
            mod agent_on {
                $crate::each_runtime! { pair_tests ($binary $tests) }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! pair_tests {
    (($server:ident [$($test:ident)*]) $module:ident $agent:ident $platform:tt $build:tt) => {
        mod $module {
            $(#[test]
            fn $test() {
                let (server, agent) = (&$crate::e2e::$server, &$crate::e2e::$agent);
                super::super::super::super::$test($crate::e2e::Pair { server, agent });
            })*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! pairs_of_platforms {
    ($tests:tt $module:ident $binary:ident $platform:tt $build:tt) => {
        mod $module {
            mod agent_on {
                $crate::each_runtime! { platform_pair_tests ($platform $tests) }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! platform_pair_tests {
    ((($server:path) [$($test:ident)*]) $module:ident $binary:ident ($agent:path) $build:tt) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::super::super::super::$test::<$server, $agent>();
            })*
        }
    };
}

/// Makes the static of each runtime's build.
#[doc(hidden)]
#[macro_export]
macro_rules! builds {
    ([] $module:ident $binary:ident $platform:tt ($($build:literal),*)) => {
        #[doc = concat!("The build on ", stringify!($module), ".")]
        pub static $binary: Runtime = Runtime::new($($build),*);
    };
}
