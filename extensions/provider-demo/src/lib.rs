//! Answers offline and says that it is not a model.
