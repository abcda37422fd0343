//! three platforms to practise on.
