"""What other libraries call things: their word -> ours, the likeliest first."""

from __future__ import annotations

_OURS = {  # ours -> theirs
    "actor_period": "policy_delay policy_freq policy_frequency actor_update_interval d",
    "alpha": "ent_coef entropy_coef init_temperature temp cql_weight",
    "batch_size": "batch minibatch minibatch_size mini_batch_size batchsize bs",
    "beta": "inverse_temperature",
    "bins": "n_quantiles num_quantiles n_atoms num_atoms atoms quantiles",
    "capacity": "buffer_size replay_size replay_buffer_size memory_size buffer_capacity buffer",
    "checkpoint_every": "save_freq checkpoint_freq checkpoint_interval save_every save_interval",
    "config": "hyperparameters hyperparams hparams agent_kwargs policy_kwargs",
    "dataset": "dataset_id dataset_name data offline_data",
    "device": "cuda gpu",
    "dropout": "dropout_rate",
    "entropy": "target_entropy",
    "env": "environment env_id env_name gym_id task",
    "envs": "n_envs num_envs nenvs n_env parallel_envs",
    "eps": "tol tolerance theta precision",
    "epsilon": "exploration_initial_eps eps_start epsilon_start start_e",
    "epsilon_last": "exploration_final_eps eps_end epsilon_end end_e min_epsilon",
    "epsilon_updates": "exploration_fraction eps_decay epsilon_decay",
    "eval_episodes": "n_eval_episodes num_eval_episodes n_evaluations",
    "eval_every": "eval_freq eval_interval evaluation_interval evaluate_every eval_period",
    "explore": "exploration_noise expl_noise action_noise",
    "from": "init_from load pretrained load_path",
    "from_run": "init_from load pretrained load_path",
    "gamma": "discount discount_factor discount_rate df",
    "hidden": "net_arch policy_kwargs hidden_sizes hidden_size hidden_dims hidden_dim hidden_units "
    "layers layer_sizes hidden_layers widths units",
    "high": "v_max vmax",
    "log_every": "log_interval log_freq",
    "low": "v_min vmin",
    "learning_rate": "lr",
    "lr": "learning_rate step_size actor_lr lr_actor policy_lr pi_lr lr_pi actor_learning_rate",
    "lr_alpha": "alpha_lr temp_lr temperature_lr ent_coef_lr",
    "lr_q": "critic_lr lr_critic q_lr qf_lr vf_lr value_lr critic_learning_rate",
    "max_backups": "max_iter max_iterations max_iters",
    "n_critics": "num_critics n_q num_qs n_qs num_q ensemble_size num_ensemble critics",
    "n_step": "nstep multi_step n_steps",
    "norm": "layer_norm layernorm use_layer_norm",
    "normalise_obs": "normalize_obs normalize normalise normalize_states norm_obs "
    "normalize_observations",
    "out": "log_dir logdir output output_dir save_dir save_path run_dir folder",
    "polyak": "tau target_update_rate soft_target_tau tau_target ema",
    "prioritised": "prioritized prioritized_replay per",
    "quiet": "verbose silent",
    "seeds": "seed random_state random_seed",
    "smooth": "policy_noise target_policy_noise",
    "smooth_clip": "noise_clip target_noise_clip",
    "steps": "total_timesteps timesteps max_timesteps total_steps num_steps max_steps n_updates "
    "num_updates iterations train_steps n_steps env_steps epochs",
    "target_period": "target_update_interval target_network_frequency target_update_freq "
    "target_update_period",
    "tau": "expectile quantile",
    "temperature": "temp",
    "update_every": "train_freq train_frequency update_freq update_interval",
    "utd": "gradient_steps utd_ratio replay_ratio n_gradient_steps grad_steps updates_per_step",
    "warmup": "learning_starts start_timesteps start_steps random_steps burn_in "
    "initial_collection_steps min_replay_size",
    "weight_decay": "l2 wd",
    "workers": "n_jobs num_workers jobs processes",
    # algorithms
    "sb3:ppo": "ppo ppo2 trpo reinforce pg vpg",
    "sb3:a2c": "a2c a3c acktr",
    "sb3:ddpg": "ddpg",
    "dqn": "ddqn double_dqn rainbow c51 qr_dqn qrdqn q_learning",
    "bc": "behavior_cloning behaviour_cloning behavioral_cloning cloning imitation",
    "td3_bc": "td3+bc",
    # policies of a bandit, and solvers
    "ts_beta": "thompson thompson_sampling ts beta_thompson",
    "ts_gauss": "gaussian_thompson",
    "eps_greedy": "epsilon_greedy e_greedy",
    "armed": "bernoulli gaussian stochastic multi_armed arms",
    "vi": "value_iteration",
    "pi": "policy_iteration howard",
    "mpi": "modified_policy_iteration",
    "gs": "gauss_seidel",
    "ps": "prioritized_sweeping prioritised_sweeping",
    "lp": "linear_program linear_programming",
    # commands
    "eval": "evaluate enjoy test",
    "train": "learn fit run",
    "resume": "continue",
    "plot": "plots draw curve curves",
}

# Short options -> the long ones they may stand for, the likeliest first.
SHORT = {
    "a": ("algo", "policies"),
    "b": ("batch-size",),
    "c": ("config", "checkpoint"),
    "d": ("dataset", "device"),
    "e": ("env", "episodes"),
    "f": ("out", "force"),
    "g": ("gamma",),
    "h": ("help",),
    "i": ("from",),
    "j": ("workers",),
    "l": ("lr",),
    "m": ("methods",),
    "n": ("steps", "episodes", "horizon"),
    "o": ("out",),
    "p": ("preset", "policies"),
    "q": ("quiet",),
    "r": ("runs", "resume"),
    "s": ("seeds", "seed"),
    "t": ("steps", "threads"),
    "tb": ("tensorboard",),
    "v": ("quiet",),
    "w": ("workers",),
    "y": ("force",),
}

OURS: dict[str, list[str]] = {}
for _ours, _theirs in _OURS.items():
    for _word in _theirs.split():
        OURS.setdefault(_word, []).append(_ours)
