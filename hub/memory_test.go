package hub_test

import (
	"fmt"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// Whatever way deliveries end, nothing of them stays in memory.
func TestNothingOfEndedWorkStaysInMemory(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		w.team("t", "mei", "ken")
		phone := w.open("mei", "hidden").subscribe()
		phone.close()
		mute := w.open("mei", "active")
		mute.mute = true
		viewing := w.open("ken", "active viewing c5")
		for i := range 60 {
			switch i % 6 {
			case 1:
				w.push.answer(notify.PushAnswer{Class: notify.AnswerThrottled, RetryAfter: 2 * time.Second})
			case 2:
				w.push.answer(notify.PushAnswer{Class: notify.AnswerNetwork})
			case 3:
				w.push.answer(notify.PushAnswer{Class: notify.AnswerTooLarge})
			}
			c := fmt.Sprintf("c%d", i%20)
			m := w.messageIn(c, "hello", hub.AssignmentInput{Team: "t"})
			w.wait(300 * time.Millisecond)
			for _, s := range w.push.take() {
				d := s.payload.Notification.Data
				if err := w.hub.Receipt(t.Context(), wire.Receipt{
					Conversation: d.Conversation, Message: d.Message, ID: d.ID, Agent: d.Agent, Device: d.Device,
					Generation: d.Generation, Kind: d.Kind, Token: d.Receipt, Event: "displayed",
				}); err != nil {
					t.Fatal(err)
				}
			}
			switch i % 4 {
			case 0:
				viewing.readUpto(c, 1)
			case 1:
				if err := w.hub.Answered(t.Context(), c, 0); err != nil {
					t.Fatal(err)
				}
			case 2:
				if _, err := w.hub.PutConversation(t.Context(), hub.ConversationInput{ID: m.Conversation, Assignment: &hub.AssignmentInput{Agent: "ken"}}); err != nil {
					t.Fatal(err)
				}
			}
			if i%10 == 9 {
				if _, err := w.hub.PushTest(t.Context(), "mei", phone.device); err != nil {
					t.Fatal(err)
				}
			}
			mute.state("active")
		}
		w.wait(2 * time.Minute)
		mute.close()
		viewing.close()
		w.wait(time.Second)
		idle(t, w)
		if tags, tests := w.hub.Remembered(); tags > 2*16 || tests > 6 {
			t.Errorf("%d tags and %d Push tests remembered", tags, tests)
		}
		w.wait(time.Hour)
		if _, err := w.hub.PushTest(t.Context(), "mei", phone.device); err != nil {
			t.Fatal(err)
		}
		if _, tests := w.hub.Remembered(); tests != 1 {
			t.Errorf("%d Push tests remembered an hour later, want the new one", tests)
		}
	})
}
